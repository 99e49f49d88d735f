"""Owns `poolctl journey`: everything that happened to an id, told by whoever owns the row."""

from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2


def command(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="Any id: request, quote, trade, event, webhook, client reference, ….")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Tells the whole journey of an id in time order, joined from every service.

    Example: poolctl journey pt_test_01HZY0
    """

    async def question(session: Session) -> documents.Document:
        return await find_journey(session, identifier)

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    from poolctl.journey_view import journey_view
    from poolctl.screen import console

    console().print(journey_view(document))


async def find_journey(session: Session, identifier: str) -> documents.Document:
    """The journey as it can be told now."""
    answer = await session.gateway.support.FindJourney(admin_pb2.FindJourneyRequest(id=identifier))
    return documents.journey(identifier, answer)
