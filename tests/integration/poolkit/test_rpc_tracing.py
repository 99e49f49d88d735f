"""Trace and request id over a real connection: for calls, for items of a batch, and from strangers."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pools_contracts.quote
from poolkit.context import CallContext, current_request_id
from poolkit.errors import QuoteExpired
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.spanstore import StoredSpan, read_spans
from poolkit.telemetry.tracing import (
    batch_span,
    configure_tracing,
    current_traceparent,
    item_spans,
    shutdown_tracing,
    span,
)
from pools.quote.v1 import quote_pb2
from tests.integration.poolkit.quotes import SERVICE, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"
REQUEST = quote_pb2.GetQuotesRequest()


async def answer(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
    return quote_pb2.GetQuotesResponse()


async def refuse(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
    raise QuoteExpired


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Path]:
    """A span store of this test's own; no root is sampled by itself."""
    settings = SimpleNamespace(
        mode="test", otlp_endpoint=None, zipkin_endpoint=None, span_directory=tmp_path, trace_samples_per_second_max=0
    )
    configure_tracing("tested", settings)
    yield tmp_path
    shutdown_tracing()


async def test_request_id_and_trace_reach_the_callee_unsampled_and_make_no_span(spans: Path) -> None:
    seen = []

    async def look(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        seen.append((current_request_id.get(), current_traceparent()))
        return quote_pb2.GetQuotesResponse()

    async with serving(look) as (_, client, _):
        token = current_request_id.set("req_5")
        with span("caller", traceparent=UNSAMPLED):
            await client.quote.GetQuotes(REQUEST)
        current_request_id.reset(token)
        await client.quote.GetQuotes(REQUEST)
    assert seen[0] == ("req_5", UNSAMPLED)
    assert seen[1][0].startswith("req_")
    assert w3c.is_valid(seen[1][1])
    assert not list(spans.glob("*")) or not "".join(path.read_text() for path in spans.glob("*"))


async def test_a_sampled_call_is_one_tree_over_both_sides(spans: Path) -> None:
    async with serving(answer) as (_, client, _):
        with span("caller", traceparent=SAMPLED, request_id="req_6"):
            token = current_request_id.set("req_6")
            await client.quote.GetQuotes(REQUEST)
            current_request_id.reset(token)
    caller, client_side, server_side = read_spans(spans, request_id="req_6")
    assert [caller.kind, client_side.kind, server_side.kind] == ["internal", "client", "server"]
    assert {found.trace_id for found in (caller, client_side, server_side)} == {TRACE}
    assert client_side.parent_span_id == caller.span_id
    assert server_side.parent_span_id == client_side.span_id
    assert server_side.name == f"{SERVICE}/GetQuotes"
    assert server_side.attributes["rpc.grpc.status_code"] == 0


async def test_a_failed_call_marks_both_sides_with_the_reason(spans: Path) -> None:
    async with serving(refuse) as (_, client, _):
        with span("caller", traceparent=SAMPLED), pytest.raises(QuoteExpired):
            await client.quote.GetQuotes(REQUEST)
    errors = {found.kind: found.error for found in read_spans(spans, trace_id=TRACE)}
    assert errors == {"internal": "", "client": "quote_expired", "server": "quote_expired"}


async def test_items_of_a_batch_call_keep_their_own_parents(spans: Path) -> None:
    contexts = [
        CallContext("req_a", "org_1", "test", SAMPLED),
        CallContext("req_b", "org_2", "test", UNSAMPLED.replace("4bf9", "5bf9")),
    ]

    async def handle(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        with item_spans("item", contexts) as items:
            assert items.contexts[1] is contexts[1]
        return quote_pb2.GetQuotesResponse()

    async with serving(handle) as (_, client, _):
        with batch_span("batch", contexts):
            await client.quote.GetQuotes(REQUEST)
    [item] = read_spans(spans, trace_id=TRACE)
    assert (item.name, item.parent_span_id, item.request_id) == ("item", "00f067aa0ba902b7", "req_a")
    [(batch_trace, batch_side)] = item.links
    by_span: dict[str, StoredSpan] = {found.span_id: found for found in read_spans(spans, trace_id=batch_trace)}
    assert sorted(found.kind for found in by_span.values()) == ["client", "internal", "server"]
    assert by_span[batch_side].kind == "server"


async def test_an_edge_starts_its_own_traces_and_answers_with_the_request_id(spans: Path) -> None:
    seen = []

    async def look(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        seen.append(current_traceparent())
        context.set_trailing_metadata((("idempotent-replayed", "true"),))
        return quote_pb2.GetQuotesResponse()

    async with (
        serving(look, edge=True) as (_, _, server),
        pools_contracts.quote.connect(f"127.0.0.1:{server.port}") as partner,
    ):
        call = partner.quote.GetQuotes(REQUEST, metadata=[("traceparent", SAMPLED), ("x-request-id", "mine-1")])
        await call
        assert dict(await call.trailing_metadata()) == {"idempotent-replayed": "true", "x-request-id": "mine-1"}
    assert w3c.is_valid(seen[0])
    assert w3c.trace_id_of(seen[0]) != TRACE
