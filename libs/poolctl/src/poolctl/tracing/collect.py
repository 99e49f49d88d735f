"""Owns the choice of the spans that belong to a request, across processes, Kafka and the batches it shared.

A request's own work lies in one trace as long as each step is caused by the one before; work on a batch, and what comes
later, lies in traces of its own that point at it. So links are followed too, in both directions, but never across a
batch into the requests it was shared with.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from poolkit.telemetry.spanstore import StoredSpan, spans_mentioning

SpanKey = tuple[str, str]
BATCH_SIZE = "pools.batch_size"


def key_of(span: StoredSpan) -> SpanKey:
    """What parents and links name a span by."""
    return span.trace_id, span.span_id


def parent_key(span: StoredSpan) -> SpanKey | None:
    """What the span names as its parent; None for the first of a trace."""
    return (span.trace_id, span.parent_span_id) if span.parent_span_id else None


class _Index:
    def __init__(self, spans: Iterable[StoredSpan]) -> None:
        self.by_key: dict[SpanKey, StoredSpan] = {}
        self.children: dict[SpanKey, list[StoredSpan]] = defaultdict(list)
        self.linkers: dict[SpanKey, list[StoredSpan]] = defaultdict(list)
        for span in spans:
            self.by_key[key_of(span)] = span
            parent = parent_key(span)
            if parent is not None:
                self.children[parent].append(span)
            for link in span.links:
                self.linkers[link].append(span)


def read_request(directory: Path, request_id: str) -> list[StoredSpan]:
    """The request's spans in the span store."""
    return read_requests(directory, [request_id])[request_id]


def read_requests(directory: Path, request_ids: Sequence[str]) -> dict[str, list[StoredSpan]]:
    """Each request's spans. Each pass reads what the one before pointed at, until nothing is new."""
    texts = {f'"{request_id}"' for request_id in request_ids}
    while True:
        stored = list(spans_mentioning(directory, texts))
        found = {request_id: spans_of_request(stored, request_id) for request_id in request_ids}
        traces = {
            trace_id
            for spans in found.values()
            for span in spans
            for trace_id in (span.trace_id, *(linked for linked, _ in span.links))
        }
        if traces <= texts:
            return found
        texts |= traces


def spans_of_request(spans: Iterable[StoredSpan], request_id: str) -> list[StoredSpan]:
    """The request's spans, those they caused or were caused by, and the batches they were part of; by start time."""
    index = _Index(spans)
    found: dict[SpanKey, StoredSpan] = {}
    waiting = [span for span in index.by_key.values() if span.request_id == request_id]
    while waiting:
        span = waiting.pop()
        if key_of(span) not in found:
            found[key_of(span)] = span
            waiting += _relatives(span, index)
            waiting += _linked(span, index, request_id)
    return sorted(found.values(), key=lambda span: (span.start_ns, span.end_ns))


def _relatives(span: StoredSpan, index: _Index) -> list[StoredSpan]:
    """Parent and children: what lies in one trace was caused by one thing, whatever request id it carries."""
    parent = index.by_key.get(parent_key(span) or ("", ""))
    return [*index.children[key_of(span)], *([parent] if parent else [])]


def _linked(span: StoredSpan, index: _Index, request_id: str) -> list[StoredSpan]:
    if BATCH_SIZE in span.attributes:
        return []
    pointed_at = [index.by_key[link] for link in span.links if link in index.by_key]
    # Another request's span that begins while this one lasts shares a batch with it; one that begins later is what
    # came of it, such as the report of its settlement.
    pointing = [
        other
        for other in index.linkers[key_of(span)]
        if other.request_id in ("", request_id) or other.start_ns >= span.end_ns
    ]
    return pointed_at + pointing
