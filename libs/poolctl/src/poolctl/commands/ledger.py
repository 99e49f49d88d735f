"""Owns `poolctl ledger`: which commands look at the books."""

import typer

from poolctl.commands.ledger_rebuild import rebuild

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Proves the books.\n\nExample: poolctl ledger rebuild --against-owners",
)
app.command("rebuild")(rebuild)


@app.callback()
def _group() -> None:
    """Without a callback Typer would take the only command for the group itself."""
