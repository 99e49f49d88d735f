"""Calls between services over a real connection: errors, repeats, limits, health and metrics."""

import asyncio
import contextlib
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

import pools_contracts.quote
from poolkit.errors import Internal, Overloaded, QuoteExpired, Unavailable
from poolkit.rpc.server import MESSAGE_BYTES_MAX, RpcServer
from pools.quote.v1 import quote_pb2
from tests.integration.poolkit.quotes import SERVICE, serving

REQUEST = quote_pb2.GetQuotesRequest()


async def answer(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
    return quote_pb2.GetQuotesResponse()


async def refuse(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
    raise QuoteExpired


async def plain_failure(port: int, **options: Any) -> grpc.aio.AioRpcError:
    """How a caller with nothing but the stubs sees the failure."""
    async with pools_contracts.quote.connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.quote.GetQuotes(REQUEST, **options)
    return caught.value


async def test_an_expected_failure_arrives_as_its_reason_and_as_error_info() -> None:
    async with serving(refuse) as (_, client, server):
        with pytest.raises(QuoteExpired):
            await client.quote.GetQuotes(REQUEST)
        failure = await plain_failure(server.port)
    assert failure.code() is grpc.StatusCode.FAILED_PRECONDITION
    pairs = dict(failure.trailing_metadata())
    info = error_details_pb2.ErrorInfo()
    status = status_pb2.Status.FromString(pairs["grpc-status-details-bin"])
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("pools", "QUOTE_EXPIRED")
    assert (status.code, status.message) == (failure.code().value[0], failure.details())


async def test_an_unexpected_failure_is_masked_with_the_request_id_and_logged() -> None:
    async def fail(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        raise KeyError("password=hunter2")

    async with serving(fail) as (_, client, server):
        with capture_logs() as lines:
            failure = await plain_failure(server.port, metadata=[("x-request-id", "req_77")])
        with capture_logs(), pytest.raises(Internal):
            await client.quote.GetQuotes(REQUEST)
    assert failure.code() is grpc.StatusCode.INTERNAL
    assert "req_77" in str(failure.details())
    assert "hunter2" not in repr(failure)
    assert dict(failure.trailing_metadata())["x-request-id"] == "req_77"
    assert [(line["event"], line["log_level"]) for line in lines] == [("rpc_failed", "error")]


async def test_a_colleague_out_of_reach_is_unavailable() -> None:
    async with serving(answer) as (_, client, server):
        await server.stop(0)
        with pytest.raises(Unavailable):
            await client.quote.GetQuotes(REQUEST)


async def test_a_restarted_colleague_is_found_again_soon() -> None:
    async with serving(answer) as (_, client, server):
        await client.quote.GetQuotes(REQUEST)
        await server.stop(0)
        with pytest.raises(Unavailable):
            await client.quote.GetQuotes(REQUEST)
        async with serving(answer, listen=f"127.0.0.1:{server.port}"), asyncio.timeout(5):
            while True:
                with contextlib.suppress(Unavailable):
                    await client.quote.GetQuotes(REQUEST)
                    break


async def test_a_broken_off_call_is_repeated_only_where_that_is_safe() -> None:
    async def break_off(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "as a broken connection says it: without a reason")
        raise AssertionError

    async with serving(break_off) as (servicer, client, _):
        with pytest.raises(Unavailable):
            await client.quote.GetQuotes(REQUEST)
        assert servicer.calls == 3
        with pytest.raises(Unavailable):
            await client.quote.CreateQuotes(quote_pb2.CreateQuotesRequest())
        assert servicer.calls == 4


@pytest.mark.parametrize("error", [Unavailable, Overloaded])
async def test_a_server_that_was_reached_is_not_asked_again(error: type[Exception]) -> None:
    async def refuse(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        raise error

    async with serving(refuse) as (servicer, client, _):
        with pytest.raises(error):
            await client.quote.GetQuotes(REQUEST)
        assert servicer.calls == 1


async def test_a_message_over_the_limit_is_refused_before_the_handler() -> None:
    request = quote_pb2.GetQuotesRequest(items=[quote_pb2.QuoteReference(quote_id="x" * MESSAGE_BYTES_MAX)])
    async with serving(answer) as (servicer, _, server), grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as raw:
        send = raw.unary_unary(f"/{SERVICE}/GetQuotes")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(request.SerializeToString(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert servicer.calls == 0


async def test_more_calls_than_the_limit_are_refused_as_overloaded() -> None:
    release, full = asyncio.Event(), asyncio.Event()

    async def hold(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        if servicer.calls == 2:
            full.set()
        await release.wait()
        return quote_pb2.GetQuotesResponse()

    async def call(client: Any) -> None:
        await client.quote.GetQuotes(REQUEST)

    async with serving(hold, in_flight_max=2) as (servicer, client, server):
        held = [asyncio.create_task(call(client)) for _ in range(2)]
        await asyncio.wait_for(full.wait(), 5)
        with pytest.raises(Overloaded):
            await client.quote.GetQuotes(REQUEST)
        release.set()
        await asyncio.gather(*held)
        assert server.in_flight == 0


async def test_an_unknown_method_is_unimplemented() -> None:
    async with serving(answer) as (_, _, server), grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as raw:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw.unary_unary(f"/{SERVICE}/Unknown")(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_tells_readiness_liveness_and_whether_calls_are_taken_apart() -> None:
    async with serving(answer) as (_, _, server), grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as raw:
        health = health_pb2_grpc.HealthStub(raw)

        async def state(service: str) -> int:
            return (await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)).status

        serving_state, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        names = ("", SERVICE, "liveness")
        assert [await state(name) for name in names] == [not_serving, serving_state, serving_state]
        server.health.set_serving(True)
        assert [await state(name) for name in names] == [serving_state] * 3
        server.health.leave()
        assert [await state(name) for name in names] == [not_serving, not_serving, serving_state]


async def test_reflection_lists_the_services() -> None:
    async with serving(answer) as (_, _, server), grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as raw:
        stub = reflection_pb2_grpc.ServerReflectionStub(raw)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        [listed] = [found async for found in stub.ServerReflectionInfo(asked, timeout=5)]
    names = {found.name for found in listed.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_a_port_that_is_taken_is_an_error_and_not_shared() -> None:
    async with serving(answer) as (_, _, server):
        second = RpcServer(f"127.0.0.1:{server.port}", name="second")
        with pytest.raises(OSError, match="cannot listen"):
            await second.start()
        await second.stop(0)


async def test_calls_are_counted_by_method_and_code() -> None:
    def count(code: str) -> float:
        labels = {"service": SERVICE, "method": "GetQuotes", "code": code}
        return REGISTRY.get_sample_value("rpc_server_duration_seconds_count", labels) or 0.0

    ok_before, refused_before = count("OK"), count("FAILED_PRECONDITION")
    async with serving(answer) as (_, client, _):
        await client.quote.GetQuotes(REQUEST)
    async with serving(refuse) as (_, client, _):
        with pytest.raises(QuoteExpired):
            await client.quote.GetQuotes(REQUEST)
    assert (count("OK") - ok_before, count("FAILED_PRECONDITION") - refused_before) == (1, 1)
