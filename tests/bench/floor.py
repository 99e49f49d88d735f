"""The floor: a bare one-method grpc.aio server that does one `INSERT … COMMIT` a call, and nothing else.

What the transact path is compared with: the same client, the same message, the same PostgreSQL, the same event loop,
and gRPC as it comes.
`python -m tests.bench.floor DATABASE_URL PORT` serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import asyncpg
import grpc
import uvloop

from pools.gateway.v1 import partner_pb2

METHOD = "/pools.bench.Floor/TransactQuote"
CONNECTIONS = 32
"""What PostgreSQL commits fastest with, one row a commit."""


async def serve(database_url: str, port: int) -> None:
    """Makes its table, serves, and stops on SIGTERM."""
    pool = await asyncpg.create_pool(database_url, min_size=CONNECTIONS, max_size=CONNECTIONS)
    await pool.execute("DROP TABLE IF EXISTS floor")
    await pool.execute(
        "CREATE TABLE floor (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, quote_id text NOT NULL)"
    )

    async def transact(request: partner_pb2.TransactQuoteRequest, _: Any) -> partner_pb2.TransactQuoteResponse:
        await pool.execute("INSERT INTO floor (quote_id) VALUES ($1)", request.quote_id)
        return partner_pb2.TransactQuoteResponse()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        transact,
        request_deserializer=partner_pb2.TransactQuoteRequest.FromString,
        response_serializer=partner_pb2.TransactQuoteResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("pools.bench.Floor", {"TransactQuote": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0)
    await pool.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
