"""Owns the question whether a program serves, asked of its health port as any orchestrator would."""

import asyncio
import contextlib
import os

# A health port that goes away is what we ask about; gRPC would say so on stderr besides.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


async def is_serving(address: str, *, seconds: float = 1.0) -> bool:
    """What `grpc.health.v1.Health/Check` says; False when nobody answers in time."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    try:
        async with grpc.aio.insecure_channel(address) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=HealthCheckRequest.SerializeToString,
                response_deserializer=HealthCheckResponse.FromString,
            )
            answer = await check(HealthCheckRequest(), timeout=seconds)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == HealthCheckResponse.SERVING)


async def is_listening(port: int, *, seconds: float = 1.0) -> bool:
    """Whether somebody takes connections on 127.0.0.1:`port`."""
    with contextlib.suppress(OSError, TimeoutError):
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), seconds)
        writer.close()
        return True
    return False
