"""Owns `poolctl ledger`: which commands look at the books."""

import typer

from poolctl.commands.ledger_balance import balance
from poolctl.commands.ledger_export import export
from poolctl.commands.ledger_rebuild import rebuild
from poolctl.commands.ledger_verify import verify

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Proves and shows the books.\n\nExample: poolctl ledger verify",
)
app.command("verify")(verify)
app.command("balance")(balance)
app.command("export")(export)
app.command("rebuild")(rebuild)
