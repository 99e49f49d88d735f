"""Owns `poolctl status`: per part running, ready, pid, version and port."""

import asyncio
from typing import Any

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.stack.layout import Layout


def command(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Says of each part whether it runs and is ready, its pid, version and port.

    Of a deployment elsewhere it says whether one replica of each service answers, and whether that is ready.

    Example: poolctl status --json
    """
    layout = Layout.at(data_dir)
    if layout.deployment_file.exists():
        from poolctl.command_logs import log_to_stderr
        from poolctl.deployment_status import status_of_deployment
        from poolctl.session import running_stack

        log_to_stderr()
        status = asyncio.run(status_of_deployment(running_stack(data_dir)))
    else:
        from poolctl.stack.status import status_of

        status = asyncio.run(status_of(layout))
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
