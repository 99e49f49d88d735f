"""Owns how a journey is shown: its product record, then one line for each thing that happened, with time passed."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from poolctl.screen import colour_of, seconds_text

if TYPE_CHECKING:
    from rich.console import RenderableType


def journey_view(document: dict[str, Any]) -> "RenderableType":
    """What `rich` prints."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if document["record"]:
        parts += [_record_view(document["record"]), Text()]
    parts.append(_happenings(document["records"]))
    if document["missingServices"]:
        names = ", ".join(document["missingServices"])
        parts.append(Text(f"Not complete: {names} did not answer.", style="red"))
    if document["traceIds"]:
        parts.append(Text(f"traces  {' '.join(document['traceIds'])}", style="dim", overflow="fold"))
    return Group(*parts)


def _record_view(record: dict[str, Any]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for name, value in record.items():
        grid.add_row(Text(name, style="dim"), Text(str(value or ""), overflow="fold"))
    return grid


def _happenings(records: list[dict[str, Any]]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("after", justify="right", no_wrap=True)
    grid.add_column("service", no_wrap=True)
    grid.add_column("what", no_wrap=True)
    grid.add_column("", ratio=1, overflow="fold")
    first = _moment(records[0]["time"]) if records else None
    for record in records:
        moment = _moment(record["time"])
        grid.add_row(
            Text(_passed(first, moment), style="dim"),
            Text(record["service"], style=colour_of(record["service"])),
            Text(record["kind"].replace("_", " ")),
            Text(record["summary"]),
        )
    return grid


def _passed(first: datetime | None, moment: datetime | None) -> str:
    if first is None or moment is None:
        return ""
    return "0" if moment == first else seconds_text((moment - first).total_seconds())


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
