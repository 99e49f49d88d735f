"""Owns telling which of the declared edges a request's spans and rows do not show.

Spans die with a killed process. The rows that were written under them do not: each keeps the trace and the span id of
the operation that wrote it, so where a span is lost its row stands for it. Source: architecture section 3.5.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from poolctl.tracing.collect import SpanKey, key_of, parent_key
from poolctl.tracing.edges import Edge, Operation
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.spanstore import StoredSpan

Places = Mapping[SpanKey, StoredSpan | None]
"""Where an operation was, by what it is named by; None where only a row tells of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was written under some operation."""

    service: str
    kind: str
    state: str
    key: SpanKey


def rows_of(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows of a journey, as `poolctl journey --json` tells its records; those written under no trace are none."""
    rows = []
    for record in records:
        traceparent, facts = record["traceparent"] or "", record["facts"]
        if w3c.is_valid(traceparent):
            state = record["state"] or facts.get("type", "").rpartition(".")[2] or facts.get("status", "")
            key = (w3c.trace_id_of(traceparent), w3c.span_id_of(traceparent))
            rows.append(Row(record["service"], record["kind"], state, key))
    return rows


def gaps(
    edges: Iterable[Edge], spans: Sequence[StoredSpan], rows: Sequence[Row] = (), *, killed: Set[str] = frozenset()
) -> list[Edge]:
    """The edges that are not shown.

    Of services that were killed, what only spans tell of may be lost: calls, and what was gathered into batches. What
    rows tell of must be there, and tied to what caused it and to what it caused: by a span's parent where one of the
    two has its span, else by their trace.
    """
    return [edge for edge in edges if not _is_shown(edge, spans, rows, killed)]


def strays(spans: Sequence[StoredSpan], rows: Sequence[Row]) -> list[StoredSpan]:
    """The spans whose parent neither a span nor a row tells of."""
    known = {key_of(span) for span in spans} | {row.key for row in rows}
    return [span for span in spans if (parent := parent_key(span)) is not None and parent not in known]


def _is_shown(edge: Edge, spans: Sequence[StoredSpan], rows: Sequence[Row], killed: Set[str]) -> bool:
    causes, effects = _places(edge.cause, spans, rows), _places(edge.effect, spans, rows)
    for span in effects.values():
        if span is not None:
            tied = {parent_key(span)} if edge.by == "parent" else set(span.links)
            if not tied.isdisjoint(causes):
                return True
    if edge.by == "parent" and _rows_tie(causes, effects):
        return True
    return any(
        not places
        and not operation.rows
        and killed
        and (operation.service in killed or edge.by == "link" or edge.hop == "call")
        for operation, places in ((edge.cause, causes), (edge.effect, effects))
    )


def _rows_tie(causes: Places, effects: Places) -> bool:
    """Whether of two that share a trace one is told of by a row alone, which names its own span and no parent."""
    return any(
        cause[0] == effect[0] and (causes[cause] is None or effects[effect] is None)
        for cause in causes
        for effect in effects
        if cause != effect
    )


def _places(operation: Operation, spans: Sequence[StoredSpan], rows: Sequence[Row]) -> Places:
    places: dict[SpanKey, StoredSpan | None] = {
        row.key: None
        for row in rows
        if row.service == operation.service and not {row.kind, f"{row.kind} {row.state}"}.isdisjoint(operation.rows)
    }
    places |= {
        key_of(span): span for span in spans if span.service == operation.service and span.name in operation.spans
    }
    return places
