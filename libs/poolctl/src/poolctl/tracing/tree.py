"""Owns how a request's spans hang together: a tree over processes and Kafka, with the waits in between.

A span hangs below its parent; one that has none here hangs below the span it points at, or that points at it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from poolctl.tracing.collect import BATCH_SIZE, SpanKey, key_of, parent_key
from poolkit.telemetry.spanstore import StoredSpan


@dataclass(slots=True)
class SpanNode:
    """A span in its place."""

    span: StoredSpan
    children: list["SpanNode"] = field(default_factory=list)
    linked: bool = False
    """Whether it hangs by a link and not by its parent."""
    later: bool = False
    """Whether it began after what it hangs below had ended, so that nobody waited for it."""
    gap_ns: int = 0
    """How long nothing beside or above it had happened when it began; 0 for a root."""
    depth: int = 0
    """How many spans it hangs below."""

    @property
    def duration_ns(self) -> int:
        return self.span.end_ns - self.span.start_ns

    @property
    def batch_size(self) -> int | None:
        """How many items the batch had that this span is about; None where it is about one thing."""
        size = self.span.attributes.get(BATCH_SIZE)
        return int(size) if size is not None else None

    def document(self, began_ns: int) -> dict[str, Any]:
        """The span as JSON tells it; times in milliseconds, `startMs` since the first span began."""
        span = self.span
        return {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "parentSpanId": span.parent_span_id or None,
            "depth": self.depth,
            "name": span.name,
            "kind": span.kind,
            "service": span.service,
            "processId": span.process_id,
            "requestId": span.request_id or None,
            "startTimeUnixNano": span.start_ns,
            "startMs": round((span.start_ns - began_ns) / 1e6, 3),
            "durationMs": round(self.duration_ns / 1e6, 3),
            "gapMs": round(self.gap_ns / 1e6, 3),
            "linked": self.linked,
            "later": self.later,
            "error": span.error or None,
            "attributes": span.attributes,
            "events": span.events,
            "links": [{"traceId": trace_id, "spanId": span_id} for trace_id, span_id in span.links],
        }


def build_tree(spans: Iterable[StoredSpan]) -> list[SpanNode]:
    """The roots, each with what hangs below it, all in order of their start."""
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns))
    nodes = {key_of(span): SpanNode(span) for span in ordered}
    pointing = _pointing(ordered, nodes)
    roots = []
    for node in nodes.values():
        above = _above(node, nodes, pointing)
        if above is None:
            roots.append(node)
            continue
        node.linked = parent_key(node.span) != above
        node.later = node.span.start_ns >= nodes[above].span.end_ns
        nodes[above].children.append(node)
    for node in nodes.values():
        _measure_gaps(node)
    for node in walk(roots):
        for child in node.children:
            child.depth = node.depth + 1
    return roots


def walk(roots: Iterable[SpanNode]) -> Iterator[SpanNode]:
    """Every node, parents first."""
    for node in roots:
        yield node
        yield from walk(node.children)


def _pointing(ordered: list[StoredSpan], nodes: dict[SpanKey, SpanNode]) -> dict[SpanKey, SpanKey]:
    """For each span that is pointed at, the first that points at it."""
    found: dict[SpanKey, SpanKey] = {}
    for span in ordered:
        for link in span.links:
            if link in nodes and link != key_of(span):
                found.setdefault(link, key_of(span))
    return found


def _above(node: SpanNode, nodes: dict[SpanKey, SpanNode], pointing: dict[SpanKey, SpanKey]) -> SpanKey | None:
    """What the node hangs below: its parent, else the earliest that it is linked with."""
    parent = parent_key(node.span)
    if parent is not None and parent in nodes:
        return parent
    candidates = [link for link in node.span.links if link in nodes]
    if key_of(node.span) in pointing:
        candidates.append(pointing[key_of(node.span)])
    # Only below a trace that began before: so nothing can come to hang below itself, whatever the clocks say.
    earlier = [key for key in candidates if _order(_first(nodes[key].span, nodes)) < _order(node.span)]
    return min(earlier, key=lambda key: nodes[key].span.start_ns, default=None)


def _first(span: StoredSpan, nodes: dict[SpanKey, SpanNode]) -> StoredSpan:
    """The span that the trace begins with, as far as it is here."""
    parent = parent_key(span)
    while parent is not None and parent in nodes:
        span = nodes[parent].span
        parent = parent_key(span)
    return span


def _order(span: StoredSpan) -> tuple[int, int, str, str]:
    return span.start_ns, -span.end_ns, span.trace_id, span.span_id


def _measure_gaps(parent: SpanNode) -> None:
    parent.children.sort(key=lambda node: (node.span.start_ns, -node.span.end_ns))
    moments = [parent.span.start_ns, parent.span.end_ns, *(child.span.end_ns for child in parent.children)]
    for child in parent.children:
        before = [moment for moment in moments if moment <= child.span.start_ns]
        # Clocks of two processes may differ by a little: a child that seems to begin before its parent has no gap.
        child.gap_ns = child.span.start_ns - max(before) if before else 0
