"""Tracing: ids always flow, spans exist only where sampled, and items of a batch keep their own parents."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import structlog

from poolkit.context import CallContext, current_request_id
from poolkit.errors import QuoteExpired
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.sampling import RootGate
from poolkit.telemetry.spanstore import StoredSpan, read_spans
from poolkit.telemetry.tracing import (
    batch_span,
    configure_tracing,
    current_trace_id,
    current_traceparent,
    enter_call,
    item_spans,
    shutdown_tracing,
    span,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


@dataclass
class Settings:
    """What tracing asks of a service's settings."""

    mode: str = "test"
    otlp_endpoint: str | None = None
    zipkin_endpoint: str | None = None
    span_directory: Path | str | None = None
    trace_samples_per_second_max: float = 5.0


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Path]:
    """A span store that this test's spans go to, sampling every root."""
    configure_tracing("tested", Settings(span_directory=tmp_path, trace_samples_per_second_max=1000))
    yield tmp_path
    shutdown_tracing()


@pytest.fixture
def quiet_spans(tmp_path: Path) -> Iterator[Path]:
    """A span store, sampling no root."""
    configure_tracing("tested", Settings(span_directory=tmp_path, trace_samples_per_second_max=0))
    yield tmp_path
    shutdown_tracing()


def stored(directory: Path) -> dict[str, StoredSpan]:
    """All spans of the store by name."""
    lines = [line for path in directory.glob("*.jsonl") for line in path.read_text().splitlines()]
    traces = {line.split('"')[3] for line in lines}
    return {found.name: found for trace in traces for found in read_spans(directory, trace_id=trace)}


def context(traceparent: str, request_id: str = "req_1") -> CallContext:
    return CallContext(request_id, "org_1", "test", traceparent)


def test_current_traceparent_is_valid_where_nothing_runs() -> None:
    assert w3c.is_valid(current_traceparent())
    assert current_trace_id() == ""


def test_unsampled_root_makes_no_span_but_keeps_one_trace_id(quiet_spans: Path) -> None:
    with span("root") as outer:
        first = current_traceparent()
        with span("child"):
            second = current_traceparent()
    assert not outer.sampled
    assert w3c.is_valid(first)
    assert w3c.trace_id_of(first) == w3c.trace_id_of(second) != ""
    assert current_trace_id() == ""
    assert stored(quiet_spans) == {}


def test_unsampled_parent_from_elsewhere_flows_on_unchanged(spans: Path) -> None:
    with span("handler", traceparent=UNSAMPLED):
        assert current_traceparent() == UNSAMPLED
    assert stored(spans) == {}


def test_sampled_parent_from_elsewhere_is_recorded_whatever_the_rate(quiet_spans: Path) -> None:
    with span("handler", traceparent=SAMPLED, kind="consumer", request_id="req_9"), span("inner"):
        pass
    found = stored(quiet_spans)
    assert found["handler"].trace_id == TRACE
    assert found["handler"].parent_span_id == PARENT
    assert found["handler"].kind == "consumer"
    assert found["handler"].request_id == "req_9"
    assert found["inner"].parent_span_id == found["handler"].span_id


@pytest.mark.parametrize(
    "broken", ["", "junk", "00-" + "0" * 32 + "-" + PARENT + "-01", SAMPLED.upper(), SAMPLED + "-x"]
)
def test_broken_parent_starts_a_new_trace(spans: Path, broken: str) -> None:
    with span("root", traceparent=broken):
        assert current_trace_id() not in ("", TRACE)
    assert stored(spans)["root"].parent_span_id == ""


def test_span_carries_the_current_request_id_and_never_an_errors_text(spans: Path) -> None:
    current_request_id.set("req_42")
    with pytest.raises(ValueError, match="hunter2"), span("unexpected"):
        raise ValueError("password=hunter2")
    with pytest.raises(QuoteExpired), span("expected"):
        raise QuoteExpired
    current_request_id.set("")
    found = stored(spans)
    assert found["unexpected"].request_id == "req_42"
    assert found["unexpected"].error == "ValueError"
    assert found["expected"].error == "quote_expired"
    assert "hunter2" not in "".join(path.read_text() for path in spans.glob("*.jsonl"))


def test_items_are_children_of_their_own_parents_and_linked_to_the_batch(spans: Path) -> None:
    contexts = [context(SAMPLED, "req_a"), context(UNSAMPLED, "req_b"), context("", "req_c")]
    with batch_span("batch", contexts), item_spans("item", contexts) as items:
        items[0].set("answer", 42)
        items[1].set("answer", 43)
        assert [item.sampled for item in (items[0], items[1], items[2])] == [True, False, False]
        assert items.contexts[1] is contexts[1]
        assert items.contexts[2] is contexts[2]
        passed_on = items.contexts[0].traceparent
    found = stored(spans)
    assert set(found) == {"batch", "item"}
    assert found["item"].trace_id == TRACE
    assert found["item"].parent_span_id == PARENT
    assert found["item"].request_id == "req_a"
    assert found["item"].attributes["answer"] == 42
    assert found["item"].links == [(found["batch"].trace_id, found["batch"].span_id)]
    assert w3c.span_id_of(passed_on) == found["item"].span_id
    assert found["batch"].trace_id != TRACE
    assert found["batch"].links == [(TRACE, PARENT)]


def test_batch_without_a_sampled_item_makes_no_span(spans: Path) -> None:
    contexts = [context(UNSAMPLED)] * 3
    with batch_span("batch", contexts), item_spans("item", contexts) as items:
        assert items.contexts == contexts
        assert not w3c.is_sampled(current_traceparent())
    assert stored(spans) == {}


def test_failed_item_says_why_and_the_others_do_not(spans: Path) -> None:
    with item_spans("item", [context(SAMPLED, "req_a"), context(SAMPLED, "req_b")]) as items:
        items[1].fail(QuoteExpired())
    by_request = {found.request_id: found.error for found in read_spans(spans, trace_id=TRACE)}
    assert by_request == {"req_a": "", "req_b": "quote_expired"}


async def test_call_from_a_stranger_starts_its_own_trace_linked_to_theirs(spans: Path) -> None:
    async def call(trusted: bool) -> None:
        scope = enter_call(f"trusted {trusted}", SAMPLED, trusted=trusted)
        assert scope is not None
        with scope:
            pass

    await asyncio.create_task(call(trusted=True))
    await asyncio.create_task(call(trusted=False))
    found = stored(spans)
    assert found["trusted True"].trace_id == TRACE
    assert found["trusted False"].trace_id != TRACE
    assert found["trusted False"].links == [(TRACE, PARENT)]


async def test_unsampled_call_flows_on_without_a_scope(quiet_spans: Path) -> None:
    async def call(traceparent: str, trusted: bool) -> str:
        assert enter_call("call", traceparent, trusted=trusted) is None
        return current_traceparent()

    assert await asyncio.create_task(call(UNSAMPLED, trusted=True)) == UNSAMPLED
    assert w3c.trace_id_of(await asyncio.create_task(call(SAMPLED, trusted=False))) != TRACE
    assert w3c.is_valid(await asyncio.create_task(call("junk", trusted=True)))


def test_root_gate_admits_the_first_of_each_period(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("poolkit.telemetry.sampling.time.monotonic", lambda: now)
    gate = RootGate(5)
    assert [gate.admit() for _ in range(8)] == [True] * 5 + [False] * 3
    now = 100.999
    assert not gate.admit()
    now = 101.0
    assert gate.admit()


def test_root_gate_below_one_a_second_and_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("poolkit.telemetry.sampling.time.monotonic", lambda: now)
    rare, never = RootGate(0.1), RootGate(0)
    assert [rare.admit(), rare.admit(), never.admit()] == [True, False, False]
    now = 109.9
    assert not rare.admit()
    now = 110.0
    assert [rare.admit(), never.admit()] == [True, False]


def test_a_zipkin_that_is_away_costs_a_line_and_one_that_answers_gets_what_was_recorded() -> None:
    taken: list[bytes] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Takes) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}/api/v2/spans"
        configure_tracing("tested", Settings(zipkin_endpoint=endpoint, trace_samples_per_second_max=1))
        with span("shown", request_id="req_1"):
            pass
        shutdown_tracing()
        thread.join(10)
    [[told]] = [json.loads(body) for body in taken]
    assert (told["name"], told["localEndpoint"]["serviceName"]) == ("shown", "tested")
    assert told["tags"]["pools.request_id"] == "req_1"

    with structlog.testing.capture_logs() as lines:
        configure_tracing("tested", Settings(zipkin_endpoint=endpoint, trace_samples_per_second_max=1))
        with span("lost"):
            pass
        shutdown_tracing()
    assert [(line["event"], line["spans"]) for line in lines] == [("spans_not_shown", 1)]
