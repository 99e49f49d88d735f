"""Owns `poolctl status`: per part running, ready, pid, version and port."""

import asyncio
from typing import Any

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.stack.layout import Layout


def command(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Says of each part whether it runs and is ready, its pid, version and port.

    Example: poolctl status --json
    """
    from poolctl.stack.status import status_of

    status = asyncio.run(status_of(Layout.at(data_dir)))
    if as_json:
        print_json(status)
    else:
        _print_table(status)


def _print_table(status: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("part", "running", "ready", "pid", "version", "port", box=None, pad_edge=False)
    for name, part in status["parts"].items():
        table.add_row(
            name,
            "yes" if part["running"] else "[red]no[/]",
            "yes" if part["ready"] else "[red]no[/]",
            str(part["pid"] or ""),
            part["version"],
            str(part["port"]),
        )
    console = Console()
    console.print(f"{status['dataDir']}: {status['phase']}", highlight=False)
    if status["parts"]:
        console.print(table)
    if status["phase"] in ("stopped", "killed"):
        console.print("Start it with: poolctl up --detach", highlight=False)
