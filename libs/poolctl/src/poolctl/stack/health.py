"""Owns the question whether a program serves, asked of its health port as any orchestrator would."""

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

# A health port that goes away is what we ask about; gRPC would say so on stderr besides.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


async def is_serving(address: str, *, seconds: float = 1.0) -> bool:
    """What `grpc.health.v1.Health/Check` says; False when nobody answers in time."""
    import grpc

    async with grpc.aio.insecure_channel(address) as channel:
        return bool(await says_serving(channel, seconds=seconds))


async def says_serving(channel: "grpc.aio.Channel", *, seconds: float) -> bool | None:
    """What the other side of a channel says; None when nobody answers in time."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    try:
        answer = await check(HealthCheckRequest(), timeout=seconds)
    except grpc.aio.AioRpcError:
        return None
    return bool(answer.status == HealthCheckResponse.SERVING)


async def is_listening(port: int, *, seconds: float = 1.0) -> bool:
    """Whether somebody takes connections on 127.0.0.1:`port`."""
    with contextlib.suppress(OSError, TimeoutError):
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), seconds)
        writer.close()
        return True
    return False
