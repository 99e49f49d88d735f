"""Whether a colleague can be called shows in a metric: on-call sees a broken connection before its callers complain."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from poolkit.errors import Unavailable
from poolkit.rpc.colleagues import Colleagues
from poolkit.rpc.server import RpcServer
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from pools_contracts.quote import QuoteClient
from tests.integration.poolkit.quotes import SERVICE, Quotes
from tests.waiting import eventually


async def answer(_request: Any, _context: Any) -> quote_pb2.GetQuotesResponse:
    return quote_pb2.GetQuotesResponse()


async def serve(listen: str) -> RpcServer:
    server = RpcServer(listen, name="tests")
    server.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, Quotes(answer), SERVICE)
    await server.start()
    return server


def connected() -> float | None:
    return REGISTRY.get_sample_value("rpc_client_connected", {"service": SERVICE})


async def test_a_broken_connection_shows_until_it_stands_again() -> None:
    server = await serve("127.0.0.1:0")
    colleagues = Colleagues("gateway")
    client = QuoteClient(colleagues.channel(f"127.0.0.1:{server.port}", SERVICE))
    assert connected() == 1, "nobody called yet, and nothing says that calls would fail"
    await client.quote.GetQuotes(quote_pb2.GetQuotesRequest(), timeout=5)
    assert connected() == 1

    await server.stop(0)
    with pytest.raises(Unavailable):
        await client.quote.GetQuotes(quote_pb2.GetQuotesRequest(), timeout=5)
    await eventually(lambda: connected() == 0, "the broken connection shows")

    server = await serve(f"127.0.0.1:{server.port}")
    await eventually(lambda: connected() == 1, "the connection stands again", seconds=30)

    await colleagues.close()
    assert connected() == 0, "a closed channel is asked without harm"
    await server.stop(0)
