"""Owns the entry of `poolctl`: which commands there are, found without importing them, and how a failure is told."""

import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from poolctl.failure import CommandFailure

# Name of a command → its module. A module has either `command`, a function, or `app`, a Typer of subcommands.
COMMANDS = {
    "up": "poolctl.commands.up",
    "down": "poolctl.commands.down",
    "status": "poolctl.commands.status",
    "demo": "poolctl.commands.demo",
    "certs": "poolctl.commands.certs",
    "partner": "poolctl.commands.partner",
    "endpoint": "poolctl.commands.endpoint",
    "key": "poolctl.commands.key",
    "source": "poolctl.commands.source",
    "payin": "poolctl.commands.payin",
    "trade": "poolctl.commands.trade",
    "journey": "poolctl.commands.journey",
    "trace": "poolctl.commands.trace",
    "deliveries": "poolctl.commands.deliveries",
    "close": "poolctl.commands.close",
    "dlq": "poolctl.commands.dlq",
    "load": "poolctl.commands.load",
    "ledger": "poolctl.commands.ledger",
}


class LazyCommands(TyperGroup):
    """Imports the module of a command when it is called, so that `poolctl status` does not wait for the others."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(COMMANDS[cmd_name])
        if hasattr(module, "app"):
            command: Any = typer.main.get_command(module.app)
        else:
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(cmd_name)(module.command)
            command = typer.main.get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyCommands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run, provision and inspect a 0Pools stack.\n\nExample: poolctl up --detach && poolctl status",
)


@app.callback()
def _root() -> None:
    """Without a callback Typer would take the only command for the program itself."""


def main() -> None:
    """The console entry: exit 0, 1 with a sentence on stderr, or 2 on wrong usage."""
    # Before grpc is imported: it tells stderr of every connection that a stopping service closes.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        app()
    except CommandFailure as failure:
        sys.stderr.write(f"poolctl: {failure}\n")
        if failure.request_id is not None:
            sys.stderr.write(f"request id: {failure.request_id}\n")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
