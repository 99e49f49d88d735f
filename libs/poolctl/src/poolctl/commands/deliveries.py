"""Owns `poolctl deliveries`: outgoing webhooks, how their attempts went, and replays. Bodies are never shown."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, moment, print_json
from poolctl.commands.partner import chosen
from poolctl.commands.person import who_asks
from poolctl.screen import console, show_fields, table
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2, webhooks_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Shows and replays outgoing webhooks.\n\nExample: poolctl deliveries list --limit 10",
)
_STATES = {"pending": 1, "delivered": 2, "dead": 3}
_STATE_WORDS = "|".join(_STATES)
_PAGE_SIZE = 100
_REPLAY_PAGE_SIZE = 500

Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery, whd_….")]
EndpointOption = Annotated[str, typer.Option("--endpoint", metavar="ENDPOINT", help="Only this one's, whk_….")]
StateOption = Annotated[str | None, typer.Option("--state", metavar=_STATE_WORDS, help="Only those that stand so.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Queued then or later: 2026-11-22, 2026-11-22T10:00:00Z.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Queued before then.")]


@app.command("list")
def list_deliveries(
    organization: Annotated[str, typer.Option("--organization", metavar="ORG", help="Only this one's.")] = "",
    endpoint: EndpointOption = "",
    state: StateOption = None,
    trade: Annotated[str, typer.Option("--trade", metavar="TRADE", help="Only those that tell of it, pt_….")] = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The most to show.")] = 50,
    cursor: Annotated[str, typer.Option(help="Go on from here: `nextCursor` of the list before.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Lists deliveries, newest first: event, state, attempts, last answer.

    Example: poolctl deliveries list --organization org_01HZY0 --state dead --since 2026-11-22
    """
    request = admin_pb2.ListDeliveriesRequest(
        organization_id=organization,
        endpoint_id=endpoint,
        state=chosen("--state", state, _STATES),
        trade_id=trade,
        create_time_from=moment("--since", since),
        create_time_before=moment("--until", until),
        page_token=cursor,
    )

    async def question(session: Session) -> tuple[list[documents.Document], str]:
        rows: list[documents.Document] = []
        while True:
            request.page_size = min(_PAGE_SIZE, limit - len(rows))
            page = await session.gateway.admin.ListDeliveries(request)
            rows += [documents.delivery(row) for row in page.deliveries]
            request.page_token = page.next_page_token
            if not request.page_token or len(rows) >= limit:
                return rows, request.page_token

    rows, following = ask(data_dir, question)
    if as_json:
        print_json({"deliveries": rows, "hasMore": bool(following), "nextCursor": following or None})
        return
    shown = table("delivery", "event", "state", "tries>", "status>", "created")
    for row in rows:
        shown.add_row(
            row["deliveryId"],
            row["type"].removeprefix("pool.transaction."),
            row["state"],
            str(row["attempts"]),
            str(row["lastStatusCode"] or ""),
            row["createdAt"],
        )
    console().print(shown)
    if following:
        typer.echo(f"There are more: --cursor {following} goes on, --limit shows more than {limit}.", err=True)


@app.command("show")
def show(delivery: Delivery, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Shows a delivery and how each attempt went; its body by its sha256 alone.

    Example: poolctl deliveries show whd_01HZY0
    """

    async def question(session: Session) -> documents.Document:
        answer = await session.gateway.webhooks.GetDelivery(webhooks_pb2.GetDeliveryRequest(delivery_id=delivery))
        attempts = [documents.delivery_attempt(row) for row in answer.attempts]
        return {
            "delivery": documents.delivery(answer.delivery),
            "endpoint": documents.webhook_endpoint(answer.endpoint),
            "attempts": attempts,
        }

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    endpoint = document["endpoint"]
    show_fields({**document["delivery"], "url": endpoint["url"]})
    if endpoint["state"] == "disabled" and document["delivery"]["state"] == "pending":
        typer.echo(
            f"Its endpoint is disabled ({endpoint['disabledReason']}), so it waits; "
            f"`poolctl endpoint enable {endpoint['endpointId']}` sends it on.",
            err=True,
        )
    shown = table("attempt>", "ended", "status>", "failure", "took>")
    for row in document["attempts"]:
        shown.add_row(
            str(row["number"]),
            row["endedAt"],
            str(row["statusCode"] or ""),
            row["failure"] or "",
            f"{row['durationMs']:,} ms",
        )
    console().print(shown)


@app.command("replay")
def replay(
    delivery: Annotated[str, typer.Argument(metavar="[DELIVERY]", help="One delivery, whd_….")] = "",
    endpoint: EndpointOption = "",
    since: Since = None,
    until: Until = None,
    state: StateOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Posts one delivery again, or an endpoint's of a time range: the same event id and bytes, as a new attempt.

    Example: poolctl deliveries replay --endpoint whk_01HZY0 --since 2026-11-22T10:00:00Z --state dead
    """
    if bool(delivery) == bool(endpoint):
        raise typer.BadParameter("give either one delivery, or --endpoint with --since.", param_hint="DELIVERY")
    if delivery:
        if since or until or state:
            raise typer.BadParameter("--since, --until and --state go with --endpoint.", param_hint="DELIVERY")
        _replay_one(delivery, data_dir, as_json=as_json)
        return
    if since is None:
        raise typer.BadParameter("say from when on.", param_hint="--since")
    request = webhooks_pb2.ReplayDeliveriesRequest(
        endpoint_id=endpoint,
        create_time_from=moment("--since", since),
        # Fixed before the first page, so that what is queued meanwhile does not make it endless.
        create_time_before=moment("--until", until or datetime.now(UTC).isoformat()),
        state=chosen("--state", state, _STATES),
        page_size=_REPLAY_PAGE_SIZE,
        replayed_by=who_asks(),
    )

    async def question(session: Session) -> list[str]:
        replayed: list[str] = []
        while True:
            page = await session.gateway.webhooks.ReplayDeliveries(request)
            replayed += page.delivery_ids
            request.page_token = page.next_page_token
            if not request.page_token:
                return replayed

    replayed = ask(data_dir, question)
    if as_json:
        print_json({"replayed": replayed})
    else:
        typer.echo(f"{len(replayed):,} {'delivery is' if len(replayed) == 1 else 'deliveries are'} posted again.")


def _replay_one(delivery: str, data_dir: DataDir, *, as_json: bool) -> None:
    async def question(session: Session) -> documents.Document:
        answer = await session.gateway.webhooks.ReplayDelivery(
            webhooks_pb2.ReplayDeliveryRequest(delivery_id=delivery, replayed_by=who_asks())
        )
        return documents.delivery(answer.delivery)

    document = ask(data_dir, question)
    if as_json:
        print_json({"replayed": [delivery], "delivery": document})
    else:
        show_fields(document)
