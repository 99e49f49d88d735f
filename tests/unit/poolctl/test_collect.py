"""Which spans belong to a request: its own, what they caused, the batches it shared, and nobody else's."""

import json
from dataclasses import asdict
from pathlib import Path

from poolctl.tracing.collect import read_request, spans_of_request
from poolkit.telemetry.spanstore import StoredSpan
from tests.unit.poolctl.spans import span

# A transact of request a that shared its way through trade with one of request b, in a batch of two.
MINE = [
    span("a.call", start=0, end=10, trace="a", request="a", service="gateway"),
    span("a.item", start=3, end=8, trace="a", parent="a.call", request="a", links=[("batch", "serve")]),
    span("a.consume", start=4, end=5, trace="a", parent="a.item", request="a", service="quote"),
]
BATCH = [
    span("send", start=1, end=9, trace="batch", service="gateway", batch=2, links=[("a", "a.call"), ("b", "b.call")]),
    span("serve", start=2, end=9, trace="batch", parent="send"),
]
OTHERS = [
    span("b.call", start=0, end=10, trace="b", request="b", service="gateway"),
    span("b.item", start=3, end=8, trace="b", parent="b.call", request="b", links=[("batch", "serve")]),
    span("feed", start=0, end=1, trace="c", service="quote"),
]


def names(spans: list[StoredSpan]) -> list[str]:
    return [each.name for each in spans]


def test_a_request_has_its_own_spans_and_the_batch_but_not_those_it_shared_the_batch_with() -> None:
    found = spans_of_request([*OTHERS, *BATCH, *MINE], "a")
    assert names(found) == ["a.call", "send", "serve", "a.item", "a.consume"]


def test_what_another_request_made_of_it_later_belongs_to_it() -> None:
    report = [
        span("report", start=100, end=120, trace="r", request="r", service="webhook-ingest"),
        span("settle", start=105, end=110, trace="r", parent="report", request="r", links=[("a", "a.item")]),
        span("apply", start=130, end=135, trace="r", parent="settle", request="a", service="ledger"),
    ]
    found = spans_of_request([*MINE, *BATCH, *OTHERS, *report], "a")
    assert {"report", "settle", "apply"} <= set(names(found))
    assert "b.item" not in names(found)


def test_reading_the_store_follows_links_from_file_to_file(tmp_path: Path) -> None:
    for number, part in enumerate((MINE[:1], BATCH, MINE[1:], OTHERS)):
        lines = "".join(json.dumps(asdict(each)) + "\n" for each in part)
        (tmp_path / f"{number}.jsonl").write_text(lines + '{"cut short by a ki')
    assert names(read_request(tmp_path, "a")) == ["a.call", "send", "serve", "a.item", "a.consume"]


def test_a_request_nobody_recorded_has_no_spans(tmp_path: Path) -> None:
    assert read_request(tmp_path, "a") == []
