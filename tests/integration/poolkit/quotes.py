"""A quote service in this process whose one method does what a test says, and a channel to it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from poolkit.rpc.channels import open_channel
from poolkit.rpc.server import RpcServer
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from pools_contracts.quote import QuoteClient

SERVICE = "pools.quote.v1.QuoteService"
Behaviour = Callable[[quote_pb2.GetQuotesRequest, Any], Awaitable[quote_pb2.GetQuotesResponse]]


class Quotes(quote_pb2_grpc.QuoteServiceServicer):
    """Answers `GetQuotes`, and `CreateQuotes` alike, by the behaviour it is given; counts the calls that arrive."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.calls = 0

    async def GetQuotes(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        self.calls += 1
        return await self.behaviour(request, context)

    async def CreateQuotes(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        self.calls += 1
        await self.behaviour(request, context)
        return quote_pb2.CreateQuotesResponse()


@contextlib.asynccontextmanager
async def serving(
    behaviour: Behaviour, listen: str = "127.0.0.1:0", **options: Any
) -> AsyncIterator[tuple[Quotes, QuoteClient, RpcServer]]:
    """The servicer, a client whose calls carry context, and the server."""
    servicer = Quotes(behaviour)
    server = RpcServer(listen, name="tests", **options)
    server.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, servicer, SERVICE)
    port = await server.start()
    try:
        async with QuoteClient(open_channel(f"127.0.0.1:{port}", "tests")) as client:
            yield servicer, client, server
    finally:
        await server.stop(0)
