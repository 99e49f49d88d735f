"""The partner API over gRPC: the methods of PartnerService, made from the same table of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from gateway.api.decoding import decode_fields, spelled_in_snake_case
from gateway.api.edge import BODY_BYTES_MAX, Edge
from gateway.api.operations import Operation
from poolkit.errors import DomainError, InvalidRequest, MethodNotAllowed, RateLimited, RequestTooLarge
from poolkit.rpc.server import RpcServer
from poolkit.rpc.types import Context, MethodHandler

SERVICE: Final = "pools.gateway.v1.PartnerService"
_REPLAYED: Final = (("idempotent-replayed", "true"),)


def add_partner_service(server: RpcServer, edge: Edge, operations: Sequence[Operation]) -> None:
    """Registers every operation on the server."""
    handlers: dict[str, MethodHandler] = {
        operation.rpc: grpc.unary_unary_rpc_method_handler(_Method(edge, operation)) for operation in operations
    }

    def add(_servicer: None, recorder: Any) -> None:
        recorder.add_registered_method_handlers(SERVICE, handlers)

    server.add(add, None, SERVICE)
    server.serve_unknown(_Unknown(edge))
    names = {operation.rpc: operation.name for operation in operations}

    def turned_away(method: str, refusal: DomainError) -> None:
        edge.refused(edge.begin("grpc", names.get(method, "")), refusal)

    server.on_refusal(turned_away)


class _Method:
    """One method. It takes and answers bytes, since the gates come before the message is even read."""

    __slots__ = ("_edge", "_operation")

    def __init__(self, edge: Edge, operation: Operation) -> None:
        self._edge = edge
        self._operation = operation

    async def __call__(self, request: bytes, context: Context) -> bytes:
        operation = self._operation
        authorization = idempotency_key = ""
        in_browser = False
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                authorization = str(value)
            elif key == "idempotency-key":
                idempotency_key = str(value)
            elif key in ("origin", "sec-fetch-site"):
                in_browser = True
        call = self._edge.begin("grpc", operation.name, idempotency_key)

        async def read(_operation: Operation) -> tuple[str, Any]:
            return _read(operation, request)

        try:
            told = await self._edge.serve(
                call,
                operation,
                authorization=authorization,
                in_browser=in_browser,
                idempotency_key=idempotency_key,
                read=read,
                tell=lambda answer: operation.to_message(answer).SerializeToString(),
            )
        except RateLimited:
            if call.standing is not None:
                context.set_trailing_metadata(self._edge.rate_limit_fields.metadata(call.standing))
            raise
        except InvalidRequest as error:
            raise spelled_in_snake_case(error) from error
        if call.replayed:
            # Sent on its own this costs a call a tenth of its CPU, so what every answer says is in the trailers.
            await context.send_initial_metadata(_REPLAYED)
        return told


class _Unknown:
    """Whatever no service has: refused like a path that does not exist, and on record like it."""

    __slots__ = ("_edge",)

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, _request: bytes, _context: Context) -> bytes:
        raise self._edge.refused(self._edge.begin("grpc", ""), MethodNotAllowed("There is no such method."))


def _read(operation: Operation, request: bytes) -> tuple[str, Any]:
    if len(request) > BODY_BYTES_MAX:
        raise RequestTooLarge
    try:
        subject, fields = operation.from_message(operation.message.FromString(request))
    except DecodeError:
        raise InvalidRequest("The message cannot be decoded; build it from the published contract.") from None
    return subject, decode_fields(operation, fields)
