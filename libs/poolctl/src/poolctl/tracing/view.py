"""Owns how a span tree is drawn: who did what below whom, when it began, how long it took, how long nothing happened.

Bars of what somebody waited for share one scale. What came later, after Kafka or a webhook, has a scale of its own,
or a transact of ten milliseconds would be a dot beside a settlement of a second.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from poolctl.screen import colour_of, seconds_text
from poolctl.tracing.tree import SpanNode, walk

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_GAP_NS_MIN = 500_000
_TIMES_WIDTH = 3 * 9
_BAR_WIDTH_MIN, _BAR_WIDTH_MAX = 8, 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def tree_view(roots: list[SpanNode], width: int) -> "RenderableType":
    """What `rich` prints, at most `width` columns wide."""
    from rich.table import Table
    from rich.text import Text

    lines = list(_lines(roots))
    service_width = max(len(node.span.service) for node, _ in lines)
    name_width = max(len(guide) + len(_name(node)) for node, guide in lines)
    room = width - service_width - _TIMES_WIDTH - 2
    bar_width = min(_BAR_WIDTH_MAX, room - name_width - 1)
    if bar_width < _BAR_WIDTH_MIN:
        bar_width = _BAR_WIDTH_MIN if width >= 100 else 0
    name_width = min(name_width, room - bar_width - 1)
    scales = _scales(roots)
    began_ns = min(node.span.start_ns for node in walk(roots))

    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", width=width)
    grid.add_column("span", width=name_width, no_wrap=True, overflow="ellipsis")
    grid.add_column("service", width=service_width, no_wrap=True)
    for heading in ("began", "took", "waited"):
        grid.add_column(heading, justify="right", width=8, no_wrap=True)
    if bar_width:
        grid.add_column("", width=bar_width, no_wrap=True)
    for node, guide in lines:
        cells = [
            Text.assemble((guide, "dim"), (_name(node), "red" if node.span.error else "")),
            Text(node.span.service, style=colour_of(node.span.service)),
            Text(_since(node.span.start_ns - began_ns), style="dim"),
            Text(seconds_text(node.duration_ns / 1e9)),
            Text(seconds_text(node.gap_ns / 1e9) if node.gap_ns >= _GAP_NS_MIN else "", style="dim"),
        ]
        if bar_width:
            cells.append(_bar(node, *scales[id(node)], bar_width))
        grid.add_row(*cells)
    return grid


def _since(nanoseconds: int) -> str:
    return "0" if nanoseconds <= 0 else seconds_text(nanoseconds / 1e9)


def _name(node: SpanNode) -> str:
    """Without the package, which repeats the service; with the size of a batch of several, and what failed it."""
    path = node.span.name
    package, slash, method = path.rpartition("/")
    if slash and "." in package:
        path = f"{package.rpartition('.')[2]}/{method}"
    if node.span.kind == "producer":
        path = f"{path} → Kafka"
    elif node.span.kind == "consumer":
        path = f"Kafka → {path}"
    if node.batch_size is not None and node.batch_size > 1:
        path += f" ×{node.batch_size}"
    return f"{path} ✗ {node.span.error}" if node.span.error else path


def _lines(roots: list[SpanNode]) -> Iterator[tuple[SpanNode, str]]:
    """Each node with the guide before its name; `⇢` hangs by a link, `⋯` came when nobody waited any more."""
    for root in roots:
        yield root, ""
        yield from _branches(root, "")


def _branches(node: SpanNode, stem: str) -> Iterator[tuple[SpanNode, str]]:
    for child in node.children:
        last = child is node.children[-1]
        mark = "⇢ " if child.linked else ("⋯ " if child.later else "─ ")
        yield child, f"{stem}{'└' if last else '├'}{mark}"
        yield from _branches(child, stem + ("   " if last else "│  "))


def _scales(roots: list[SpanNode]) -> dict[int, tuple[int, int]]:
    """For each node the begin and end that its bar is drawn between."""
    scales: dict[int, tuple[int, int]] = {}

    def spread(beginnings: list[SpanNode]) -> None:
        section = [node for beginning in beginnings for node in _section(beginning)]
        scale = (min(node.span.start_ns for node in section), max(node.span.end_ns for node in section))
        for node in section:
            scales[id(node)] = scale
            later = [child for child in node.children if child.later]
            if later:
                spread(later)

    for root in roots:
        spread([root])
    return scales


def _section(node: SpanNode) -> Iterator[SpanNode]:
    """The node and what began below it before it ended."""
    yield node
    for child in node.children:
        if not child.later:
            yield from _section(child)


def _bar(node: SpanNode, began_ns: int, ended_ns: int, width: int) -> "Text":
    from rich.text import Text

    scale = width / max(1, ended_ns - began_ns)
    start = min(width - 1, int((node.span.start_ns - began_ns) * scale))
    eighths = max(1, min((width - start) * 8, round(node.duration_ns * scale * 8)))
    whole, rest = divmod(eighths, 8)
    return Text(" " * start + "█" * whole + (_EIGHTHS[rest] if rest else ""), style=colour_of(node.span.service))
