"""Owns `poolctl trade`: what a person decides about a trade that nobody reports on."""

import getpass
from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.screen import show_fields
from poolctl.session import Session, ask
from pools.trade.v1 import trade_admin_pb2
from pools.types.v1 import types_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Ends a trade that is stuck.\n\nExample: poolctl trade resolve pt_test_01HZY0 --release --reason 'never sent'",
)


@app.callback()
def _root() -> None:
    """Without a callback Typer would take the only command for the program itself."""


@app.command("resolve")
def resolve(
    trade: Annotated[str, typer.Argument(metavar="TRADE", help="The trade, pt_…; it must be reserved still.")],
    reason: Annotated[str, typer.Option(metavar="R", help="Why; one line, kept for good.")],
    release: Annotated[
        bool, typer.Option("--release", help="Let it go: the money is no longer held, the inventory comes back.")
    ] = False,
    resolved_by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who decides; you, by your user name, unless named.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Releases a trade that is stuck in `reserved`. First make sure that the provider has not delivered.

    Example: poolctl trade resolve pt_test_01HZY0 --release --reason 'the provider never received it'
    """
    if not release:
        raise typer.BadParameter("say what becomes of the trade; --release is the one way there is.")
    resolved_by = resolved_by or _user_name()

    async def question(session: Session) -> documents.Document:
        answer = await session.trade.admin.ResolveTrade(
            trade_admin_pb2.ResolveTradeRequest(
                context=types_pb2.RequestContext(request_id=session.request_id, mode=session.mode),
                trade_id=trade,
                resolution=trade_admin_pb2.TRADE_RESOLUTION_RELEASE,
                reason=reason,
                resolved_by=resolved_by,
            )
        )
        return documents.trade(answer.trade) | {
            "organizationId": answer.organization_id,
            "resolution": {"reason": answer.reason, "resolvedBy": answer.resolved_by},
            "alreadyResolved": answer.already_resolved,
        }

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    show_fields(document)
    if document["alreadyResolved"]:
        typer.echo("It had been released before; the first reason stays.", err=True)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise typer.BadParameter("your user has no name here; say who decides.", param_hint="--by") from error
