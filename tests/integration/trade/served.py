"""Services of trade over a real server on loopback, as colleagues call them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from poolkit.rpc.channels import open_channel
from poolkit.rpc.server import RpcServer
from pools.types.v1 import types_pb2
from pools_contracts.trade import TradeClient

CONTEXT = types_pb2.RequestContext(mode=types_pb2.MODE_TEST, request_id="req_colleague")


@asynccontextmanager
async def serving(adder: Callable[[Any, Any], None], servicer: Any) -> AsyncIterator[TradeClient]:
    """A client of a server with one service."""
    server = RpcServer("127.0.0.1:0", name="internal")
    server.add(adder, servicer)
    channel = open_channel(f"127.0.0.1:{await server.start()}", "test")
    try:
        yield TradeClient(channel)
    finally:
        await channel.close()
        await server.stop(0)
