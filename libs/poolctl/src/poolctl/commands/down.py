"""Owns `poolctl down`: ends a stack whoever started it, and what a killed one left behind."""

import asyncio

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.deployment import refuse
from poolctl.stack.layout import Layout


def command(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Stops a stack in order; its data stays. Stopping one that does not run is no error.

    Example: poolctl down --data-dir .pools
    """
    from poolctl.commands.up_display import Display
    from poolctl.stack.remote import stop_stack

    layout = Layout.at(data_dir)
    refuse(layout, "A deployment is ended by what deployed it.")
    ended = asyncio.run(stop_stack(layout, Display(as_json=as_json).say))
    if as_json:
        print_json({"dataDir": str(layout.data_dir), "stopped": ended})
    else:
        typer.echo(f"{layout.data_dir}: stopped" if ended else f"{layout.data_dir}: was not running")
