"""Owns `poolctl deliveries`: outgoing webhooks, and how their attempts went. Bodies are never shown."""

from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.screen import console, table
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Shows outgoing webhooks.\n\nExample: poolctl deliveries list --limit 10",
)


# Without a callback Typer would take the only command for the group itself.
app.callback()(lambda: None)


@app.command("list")
def list_deliveries(
    organization: Annotated[str, typer.Option("--organization", metavar="ORG", help="Only this one's.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The most to show.")] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Lists deliveries, newest first: event, state, attempts, last answer.

    Example: poolctl deliveries list --organization org_01HZY0 --limit 10
    """

    async def question(session: Session) -> tuple[list[documents.Document], bool]:
        rows: list[documents.Document] = []
        token = ""
        while True:
            page = await session.gateway.admin.ListDeliveries(
                admin_pb2.ListDeliveriesRequest(
                    organization_id=organization, page_size=min(100, limit - len(rows)), page_token=token
                )
            )
            rows += [documents.delivery(row) for row in page.deliveries]
            token = page.next_page_token
            if not token or len(rows) >= limit:
                return rows, bool(token)

    rows, has_more = ask(data_dir, question)
    if as_json:
        print_json({"deliveries": rows, "hasMore": has_more})
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
    if has_more:
        typer.echo(f"There are more; --limit shows more than {limit}.", err=True)
