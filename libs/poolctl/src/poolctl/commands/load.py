"""Owns `poolctl load`: whole journeys against a running stack, with a live display and percentiles of each step."""

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.deployment import refuse
from poolctl.screen import console, table
from poolctl.session import Session, ask

if TYPE_CHECKING:
    from rich.console import RenderableType

    from poolctl.loading.figures import Figures


def command(
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="How long new journeys begin.")] = 10.0,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="How many are under way at once.")] = 32,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Makes journeys, quote to partner webhook, as many at once as asked, with partners of its own.

    Exits 1 when a journey failed.

    Example: poolctl load --seconds 10 --concurrency 64
    """
    from rich.live import Live

    from poolctl.loading.run import run_load

    # What moves is for people: on stderr, so that stdout holds the result alone.
    screen = console(stderr=True)
    live = Live(console=screen, transient=True, auto_refresh=False)

    def watch(figures: "Figures", passed: float) -> None:
        live.update(_view(figures.document(seconds=passed, concurrency=concurrency)), refresh=True)

    async def question(session: Session) -> dict[str, Any]:
        refuse(session.addresses.layout, "Load would be partners and trades among the real ones.")
        with live if screen.is_terminal else contextlib.nullcontext():
            figures, took = await run_load(
                session, seconds=seconds, concurrency=concurrency, watch=watch if screen.is_terminal else None
            )
        return figures.document(seconds=took, concurrency=concurrency)

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
    else:
        console().print(_view(document))
    if document["failures"] or not document["journeys"]:
        raise typer.Exit(1)


def _view(document: dict[str, Any]) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble(
        (f"{document['throughput']:,.1f} journeys/s", "bold"),
        f"   {document['journeys']:,} done, {document['concurrency']} at once, {document['seconds']:.1f} s",
    )
    shown = table("step", "count>", "p50 ms>", "p95 ms>", "p99 ms>", "max ms>")
    for step, figures in document["steps"].items():
        shown.add_row(
            step, f"{figures['count']:,}", *(f"{figures[name]:,.1f}" for name in ("p50Ms", "p95Ms", "p99Ms", "maxMs"))
        )
    failures = [
        Text(f"{count:,} × {reason}, such as {document['failureRequestIds'].get(reason, 'unknown')}", style="red")
        for reason, count in document["failures"].items()
    ]
    return Group(head, shown, *failures)
