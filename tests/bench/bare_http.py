"""The floor of REST: Starlette, `msgspec`, uvicorn on uvloop and httptools, and endpoints that only decode and encode.

They answer what the gateway answers, but ask nobody, check no key, log and count nothing.
`python -m tests.bench.bare_http` prints its port, reads the answers to give from stdin, and serves until terminated.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class QuoteBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """As in the gateway."""

    side: str
    amount: str
    amount_currency: str
    network: str
    destination_address: str
    client_reference: str


class TransactBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """As in the gateway."""

    quote_id: str


_encode = msgspec.json.Encoder().encode
_quote, _transact = msgspec.json.Decoder(QuoteBody), msgspec.json.Decoder(TransactBody)


def application(answers: dict[str, Any]) -> Starlette:
    """The endpoints, each with one answer, encoded anew each time."""

    async def list_pools(_: Request) -> Response:
        return _json(answers["list_pools"])

    async def get_trade(_: Request) -> Response:
        return _json(answers["get_trade"])

    async def quote(request: Request) -> Response:
        _quote.decode(await request.body())
        return _json(answers["quote"])

    async def transact(request: Request) -> Response:
        _transact.decode(await request.body())
        return _json(answers["transact"])

    return Starlette(
        routes=[
            Route("/v1/pools", list_pools),
            Route("/v1/pools/trades/{transactId}", get_trade),
            Route("/v1/pools/{id}/quote", quote, methods=["POST"]),
            Route("/v1/pools/{id}/transact", transact, methods=["POST"]),
        ]
    )


def _json(answer: Any) -> Response:
    return Response(_encode(answer), media_type="application/json")


def main() -> None:
    """Serves on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    answers = json.loads(sys.stdin.readline())
    config = uvicorn.Config(
        application(answers), http="httptools", loop="uvloop", lifespan="off", access_log=False, log_config=None
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
