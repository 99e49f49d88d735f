"""Owns how a journey is shown: its product record, a line for what happened, what is awaited, and all its ids."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from poolctl.screen import colour_of, seconds_text

if TYPE_CHECKING:
    from rich.console import RenderableType


_IDS: Final = {
    "requests": ("request", "report_request", "resolution_request", "allocation_request"),
    "keys": ("idempotency_key",),
    "provider events": ("provider_event",),
    "webhooks": ("webhook",),
    "events": ("event",),
    "deliveries": ("delivery",),
    "holds": ("hold",),
    "postings": ("ledger_transaction",),
}
"""Under which word ids are listed, beside those of the product record."""


def journey_view(document: dict[str, Any]) -> "RenderableType":
    """What `rich` prints."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if document["journeys"]:
        parts.append(_list_view(document))
    else:
        if document["record"]:
            parts += [_record_view(document["record"]), Text()]
        parts.append(_happenings(document["records"]))
    parts += [_awaited_line(one) for one in document["awaited"]]
    if document["truncatedServices"]:
        names = ", ".join(document["truncatedServices"])
        parts.append(Text(f"Cut off: {names} has more of it; the oldest thousand are told.", style="yellow"))
    if document["missingServices"]:
        names = ", ".join(document["missingServices"])
        parts.append(Text(f"Not complete: {names} did not answer.", style="red"))
    if document["records"]:
        parts += [Text(), _ids_view(document)]
    return Group(*parts)


def _list_view(document: dict[str, Any]) -> "RenderableType":
    """The journeys that carry one id; each can be asked for by its trade, else by its quote."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("made", "id", "status", "amount", "key", "organization"):
        grid.add_column(name, no_wrap=name in {"made", "id"}, overflow="fold")
    for one in document["journeys"]:
        record = one["record"]
        grid.add_row(
            Text((one["createdAt"] or "")[:19].replace("T", " "), style="dim"),
            Text(record["transact_id"] or record["quote_id"]),
            Text(record["status"]),
            Text(f"{one['fiat']} for {one['crypto']}" if one["fiat"] else ""),
            Text(record["product_area"]),
            Text(one["organizationId"], style="dim"),
        )
    head = Text(
        f"{len(document['journeys'])} journeys carry {document['id']!r}, newest first; ask for one by its id.\n"
    )
    parts: list[RenderableType] = [head, grid]
    if document["nextPageToken"]:
        parts.append(Text(f"Older ones: --page-token {document['nextPageToken']}", style="dim", overflow="fold"))
    return Group(*parts)


def _awaited_line(awaited: dict[str, Any]) -> "RenderableType":
    from rich.text import Text

    due = f", due {awaited['due'][:19]}Z" if awaited["due"] else ""
    return Text(f"awaits  {awaited['what']}, since {awaited['since'][:19]}Z{due}", style="yellow", overflow="fold")


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
            Text(record["summary"] + _place(record["facts"])),
        )
    return grid


def _place(facts: dict[str, str]) -> str:
    """Where in Kafka an event was taken from."""
    if "offset" not in facts:
        return ""
    return f" ({facts['topic']} partition {facts['partition']} offset {facts['offset']})"


def _ids_view(document: dict[str, Any]) -> "RenderableType":
    """Each id that the journey can be searched by too, once, and the traces to open."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    ids = [record["ids"] for record in document["records"]]
    listed = {word: dict.fromkeys(one[name] for one in ids for name in names if name in one)
              for word, names in _IDS.items()}  # fmt: skip
    for word, found in (*listed.items(), ("traces", document["traceIds"])):
        if found:
            grid.add_row(Text(word, style="dim"), Text(" ".join(found)))
    return grid


def _passed(first: datetime | None, moment: datetime | None) -> str:
    if first is None or moment is None:
        return ""
    return "0" if moment == first else seconds_text((moment - first).total_seconds())


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
