"""Spans made by hand, as short as their tests need them."""

from poolkit.telemetry.spanstore import StoredSpan

MS = 1_000_000


def span(
    name: str,
    *,
    start: float,
    end: float,
    trace: str = "t1",
    parent: str = "",
    service: str = "trade",
    request: str = "",
    links: list[tuple[str, str]] | None = None,
    batch: int | None = None,
    error: str = "",
) -> StoredSpan:
    """A span whose id is its name; times in milliseconds."""
    attributes: dict[str, object] = {}
    if request:
        attributes["pools.request_id"] = request
    if batch is not None:
        attributes["pools.batch_size"] = batch
    return StoredSpan(
        trace_id=trace,
        span_id=name,
        parent_span_id=parent,
        name=name,
        kind="internal",
        service=service,
        process_id=1,
        start_ns=int(start * MS),
        end_ns=int(end * MS),
        error=error,
        attributes=attributes,
        events=[],
        links=links or [],
    )
