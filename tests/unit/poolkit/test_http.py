"""What surrounds an HTTP request: its id, its deadline, bounds on its headers, and the end of its connection."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from poolkit.context import current_request_id
from poolkit.errors import DOCUMENTATION_URL, QuoteExpired
from poolkit.http.errors import error_body
from poolkit.http.surroundings import HEADERS_MAX, PATH_BYTES_MAX, QUERY_BYTES_MAX, Surroundings
from poolkit.rpc.deadlines import shortened
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.spanstore import read_spans
from poolkit.telemetry.tracing import configure_tracing, current_traceparent, shutdown_tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def ask(
    headers: list[tuple[bytes, bytes]], *, draining: bool = False, path: bytes = b"/", query: bytes = b""
) -> tuple[int, dict[bytes, bytes], dict[str, Any]]:
    """Status, headers, and what the application saw."""
    seen: dict[str, Any] = {}
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen["request_id"] = current_request_id.get()
        seen["traceparent"] = current_traceparent()
        seen["left_seconds"] = shortened(60)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody reads a body here")

    surroundings = Surroundings(app, deadline_seconds=2.0)
    surroundings.draining = draining
    scope = {"type": "http", "method": "GET", "raw_path": path, "query_string": query, "headers": headers}
    await surroundings(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), seen


async def test_a_request_keeps_the_id_it_brought() -> None:
    status, headers, seen = await ask([(b"x-request-id", b"mine-1")])
    assert status == 200
    assert headers == {b"x-request-id": b"mine-1"}
    assert seen["request_id"] == "mine-1"
    assert 1.5 < seen["left_seconds"] < 2.0


@pytest.mark.parametrize("brought", [b"", b"has space", b"x" * 129, b"caf\xe9"])
async def test_a_request_without_a_usable_id_gets_one(brought: bytes) -> None:
    _, headers, seen = await ask([(b"x-request-id", brought)])
    assert headers[b"x-request-id"].decode() == seen["request_id"]
    assert seen["request_id"].startswith("req_")


async def test_trace_context_from_outside_is_not_adopted() -> None:
    _, _, seen = await ask([(b"traceparent", PARENT.encode())])
    assert w3c.is_valid(seen["traceparent"])
    assert w3c.trace_id_of(seen["traceparent"]) != w3c.trace_id_of(PARENT)
    assert not w3c.is_sampled(seen["traceparent"])


async def test_too_many_headers_are_refused_before_the_application() -> None:
    status, _, seen = await ask([(b"a", b"b")] * (HEADERS_MAX + 1))
    assert (status, seen) == (431, {})
    status, headers, seen = await ask([(b"a", b"b" * 40_000)])
    assert (status, seen) == (431, {})
    assert headers[b"x-request-id"].startswith(b"req_")


async def test_a_path_or_a_query_that_is_too_long_is_refused_before_the_application() -> None:
    assert (await ask([], path=b"/" * PATH_BYTES_MAX, query=b"a" * QUERY_BYTES_MAX))[0] == 200
    status, _, seen = await ask([], path=b"/" * (PATH_BYTES_MAX + 1))
    assert (status, seen) == (400, {})
    status, _, seen = await ask([], query=b"a" * (QUERY_BYTES_MAX + 1))
    assert (status, seen) == (400, {})


async def test_readiness_is_told_with_a_request_id_too() -> None:
    for draining, expected in ((False, 200), (True, 503)):
        status, headers, seen = await ask([(b"x-request-id", b"mine-1")], draining=draining, path=b"/ready")
        assert (status, headers[b"x-request-id"], seen) == (expected, b"mine-1", {})
    _, headers, _ = await ask([], path=b"/ready")
    assert headers[b"x-request-id"].startswith(b"req_")


async def test_draining_ends_the_connection_with_the_answer() -> None:
    _, headers, _ = await ask([], draining=True)
    assert headers[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("endpoint", "operation"), [(None, "unrouted"), (ask, "ask"), (SimpleNamespace(name="Transact"), "Transact")]
)
async def test_requests_are_counted_by_what_the_router_found(endpoint: Any, operation: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["endpoint"] = endpoint
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message: Any) -> None:
        pass

    def count() -> float:
        labels = {"operation": operation, "status": "204"}
        return REGISTRY.get_sample_value("http_server_duration_seconds_count", labels) or 0.0

    before = count()
    scope = {"type": "http", "method": "GET", "raw_path": b"/", "query_string": b"", "headers": []}
    await Surroundings(app, deadline_seconds=2.0)(scope, send, send)
    assert count() == before + 1


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ({}, "GET"),
        (
            {"endpoint": SimpleNamespace(name="get_trade", path="/v1/pools/trades/{transactId}")},
            "GET /v1/pools/trades/{transactId}",
        ),
        ({"endpoint": ask, "route": SimpleNamespace(path="/v1/webhooks/{source}")}, "GET /v1/webhooks/{source}"),
    ],
)
async def test_a_requests_span_is_named_by_its_method_and_the_template_of_its_path(
    tmp_path: Path, found: dict[str, Any], name: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(found)
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message: Any) -> None:
        pass

    configure_tracing("tested", _recording(tmp_path))
    try:
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(b"x-request-id", b"mine")],
        }
        await Surroundings(app, deadline_seconds=2.0)(scope, send, send)
    finally:
        shutdown_tracing()
    [span] = read_spans(tmp_path, request_id="mine")
    assert span.name == name
    assert span.attributes.get("http.route", "GET") == name.removeprefix("GET ")


@pytest.mark.parametrize(("status", "error"), [(200, ""), (404, ""), (500, "500"), (503, "503")])
async def test_a_failure_of_ours_marks_the_span_which_a_collector_then_keeps(
    tmp_path: Path, status: int, error: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Any) -> None:
        pass

    configure_tracing("tested", _recording(tmp_path))
    try:
        head = {"raw_path": b"/", "query_string": b"", "headers": [(b"x-request-id", b"mine")]}
        await Surroundings(app, deadline_seconds=2.0)({"type": "http", "method": "GET", **head}, send, send)
    finally:
        shutdown_tracing()
    [span] = read_spans(tmp_path, request_id="mine")
    assert span.error == error


def _recording(directory: Path) -> SimpleNamespace:
    return SimpleNamespace(
        mode="test",
        otlp_endpoint=None,
        zipkin_endpoint=None,
        span_directory=directory,
        trace_samples_per_second_max=9,
    )


def test_an_errors_body_has_the_contracts_fields() -> None:
    assert error_body(QuoteExpired(), "req_1") == {
        "type": "conflict",
        "code": "quote_expired",
        "message": QuoteExpired().message,
        "request_id": "req_1",
        "doc_url": f"{DOCUMENTATION_URL}#quote_expired",
        "statusCode": 409,
    }
