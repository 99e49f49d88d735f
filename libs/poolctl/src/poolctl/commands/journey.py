"""Owns `poolctl journey`: everything that happened to an id, told by whoever owns the row."""

from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.commands.person import who_asks
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2


def command(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="Any id: request, quote, trade, event, webhook, client reference, ….")
    ],
    asked_by: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Who asks, for the record of accesses; else the system's user.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="Of an id with several journeys, list so many.")] = 20,
    page_token: Annotated[
        str, typer.Option(metavar="TOKEN", help="Go on with the list: the token that its last page gave.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Tells the whole journey of an id in time order, joined from every service. An id that several journeys carry, as
    client references may, lists them, newest first. Who asked for what is kept.

    Example: poolctl journey pt_test_01HZY0
    """

    async def question(session: Session) -> documents.Document:
        return await find_journey(session, identifier, asked_by=asked_by, limit=limit, page_token=page_token)

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    from poolctl.journey_view import journey_view
    from poolctl.screen import console

    console().print(journey_view(document))


async def find_journey(
    session: Session, identifier: str, *, asked_by: str = "", limit: int = 0, page_token: str = ""
) -> documents.Document:
    """The journey as it can be told now."""
    request = admin_pb2.FindJourneyRequest(
        id=identifier.strip(), asked_by=who_asks(asked_by), page_size=limit, page_token=page_token
    )
    return documents.journey(identifier.strip(), await session.gateway.support.FindJourney(request))
