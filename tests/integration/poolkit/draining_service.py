"""A service of its own process for the drain test: counts what it begins, and holds some calls until it has to go."""

import asyncio
import json
import os
import sys
from typing import Any

from poolkit import service
from poolkit.settings import ServiceSettings
from pools.quote.v1 import quote_pb2, quote_pb2_grpc


class Quotes(quote_pb2_grpc.QuoteServiceServicer):
    """All answer at once but `ListPools`, which answers only when the service has begun to drain."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.begun = 0

    async def GetQuotes(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        self.begun += 1
        await asyncio.sleep(0)
        return quote_pb2.GetQuotesResponse()

    async def CreateQuotes(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        self.begun += 1
        return quote_pb2.CreateQuotesResponse()

    async def ListPools(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        self.begun += 1
        await self.draining.wait()
        return quote_pb2.ListPoolsResponse()


async def build(runtime: service.Runtime[ServiceSettings]) -> None:
    """The service: a gRPC method, an HTTP path, a loop, and a note of the order in which they end."""
    quotes = Quotes()
    runtime.rpc.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, quotes)
    http_begun = 0
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal http_begun
        http_begun += 1
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("loop")
            quotes.draining.set()

    async def drain() -> None:
        ended.append(f"drain with {runtime.rpc.in_flight} calls in flight")

    async def close() -> None:
        ended.append("close")
        print(json.dumps({"rpc": quotes.begun, "http": http_begun, "ended": ended}), flush=True)

    runtime.add_http(app, os.environ.pop("HTTP_LISTEN"))
    runtime.add_loop("endless", loop)
    runtime.on_drain(drain)
    runtime.on_close(close)


if __name__ == "__main__":
    service.main("quote", ServiceSettings, build, arguments=sys.argv[1:])
