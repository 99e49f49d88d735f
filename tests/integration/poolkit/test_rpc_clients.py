"""Clients of an RPC server that take too much or too long, each on a real socket: refused or cut off."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from poolkit.rpc.channels import open_channel
from poolkit.rpc.server import METADATA_BYTES_MAX, SERVER_OPTIONS, RpcServer
from pools.quote.v1 import quote_pb2
from pools_contracts.quote import QuoteClient
from tests.integration.poolkit.quotes import serving as quotes
from tests.waiting import eventually

HEALTH = "/grpc.health.v1.Health/Check"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@asynccontextmanager
async def serving(options: Sequence[tuple[str, int]] = ()) -> AsyncIterator[RpcServer]:
    """A server with nothing but health."""
    server = RpcServer("127.0.0.1:0", name="test", edge=True, options=options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


async def check(server: RpcServer, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """One whole call."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        answer: bytes = await channel.unary_unary(HEALTH)(b"", metadata=tuple(metadata), timeout=5)
        return answer


@pytest.mark.parametrize("sent", [b"", PREFACE[:10]], ids=["nothing", "half a preface"])
async def test_a_client_that_does_not_get_on_with_connecting_is_cut_off(sent: bytes) -> None:
    assert dict(SERVER_OPTIONS)["grpc.server_handshake_timeout_ms"] == 10_000
    async with serving([("grpc.server_handshake_timeout_ms", 200)]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        # The server's own settings come first; then it waits for the client's, and at last for nothing more.
        received = asyncio.create_task(reader.read())
        cut_off, _ = await asyncio.wait({received}, timeout=5)
        assert cut_off
        assert received.exception() is None or isinstance(received.exception(), ConnectionError)
        writer.transport.abort()
        assert await check(server) is not None


async def test_a_client_shares_its_calls_out_among_all_replicas_that_a_name_leads_to() -> None:
    async def answer(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        return quote_pb2.GetQuotesResponse()

    async with quotes(answer) as (first, _, one), quotes(answer) as (second, _, other):
        both = f"ipv4:127.0.0.1:{one.port},127.0.0.1:{other.port}"
        async with QuoteClient(open_channel(both, "tests", service=QuoteClient.service)) as client:

            async def shared() -> bool:
                await client.quote.GetQuotes(quote_pb2.GetQuotesRequest())
                return first.calls > 0 and second.calls > 0

            await eventually(shared, "both are called")
            before = first.calls
            for _ in range(10):
                await client.quote.GetQuotes(quote_pb2.GetQuotesRequest())
            assert first.calls - before == 5


async def test_a_connection_that_has_reached_its_age_ends_without_a_failed_call() -> None:
    """Ended ages are how callers find new replicas, so they come all the time, in the midst of calls."""
    assert dict(SERVER_OPTIONS)["grpc.max_connection_age_ms"] == 600_000
    peers: set[str] = set()

    async def note(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        peers.add(context.peer())
        return quote_pb2.GetQuotesResponse()

    async with quotes(note, options=[("grpc.max_connection_age_ms", 50)]) as (_, client, _):

        async def call() -> None:
            while len(peers) < 5:
                # Of those that are never repeated.
                await client.quote.CreateQuotes(quote_pb2.CreateQuotesRequest())

        async with asyncio.timeout(20):
            await asyncio.gather(*(call() for _ in range(8)))


async def test_metadata_that_is_too_large_is_refused_and_the_server_goes_on() -> None:
    async with serving() as server:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(server, [("x-large", "y" * 2 * METADATA_BYTES_MAX)])
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await check(server) is not None
