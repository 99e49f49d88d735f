"""Owns `poolctl up`: starts a stack, shows how far it is, says where everything is, and stops it on Ctrl-C."""

import asyncio
from typing import Annotated

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json
from poolctl.stack.layout import Layout


def command(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    detach: Annotated[bool, typer.Option("--detach", help="Return when all is ready, and leave it running.")] = False,
    restart: Annotated[bool, typer.Option(help="Start a part again when it dies.")] = True,
    zipkin: Annotated[bool, typer.Option("--zipkin", help="Start a Zipkin too: a page to look at traces on.")] = False,
    mtls: Annotated[
        bool | None,
        typer.Option("--mtls/--no-mtls", help="Let services prove who they are to each other; remembered."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Starts database, broker, the five services and the sandbox, and waits until each is ready.

    Data, ports and secrets stay in the data directory between runs. Without --detach, Ctrl-C stops all in order.

    Example: poolctl up --detach --json

    Example: poolctl up --mtls
    """
    from poolctl.commands.up_display import Display

    layout = Layout.at(data_dir)
    display = Display(as_json=as_json)
    if detach:
        from poolctl.stack.remote import start_detached

        try:
            display.addresses(
                asyncio.run(start_detached(layout, restart=restart, zipkin=zipkin, mtls=mtls, say=display.say))
            )
        except asyncio.CancelledError:
            raise typer.Exit(143) from None
    else:
        from poolctl.commands.up_foreground import run_in_foreground

        asyncio.run(run_in_foreground(layout, restart=restart, zipkin=zipkin, mtls=mtls, display=display))
