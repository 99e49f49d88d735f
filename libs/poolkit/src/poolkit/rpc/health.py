"""What a process answers to `grpc.health.v1`: `""` tells readiness, `liveness` that it is alive.

What readiness stands on is told by name as well (`database`, `schema`, `broker`, …), so that one question finds what
is missing. The full name of a service tells callers whether its calls are taken: from the opening of the port until
the process is about to stop, whatever is out of reach. So callers leave a replica that goes, and stay with one that
is the last to answer while a broker that all of them share is away.
"""

from collections.abc import Iterable

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

LIVENESS = "liveness"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """One state for all ports of a process. Not serving until told otherwise; alive until it is gone."""

    def __init__(self) -> None:
        self.servicer = aio.HealthServicer()
        self.serving = False
        self._services: set[str] = set()

    async def add(self, services: Iterable[str]) -> None:
        """Makes services known by their full names: their calls are taken now."""
        self._services.update(services)
        await self.servicer.set(LIVENESS, _SERVING)
        for name in self._services:
            await self.servicer.set(name, _SERVING)
        await self.set_serving(self.serving)

    async def set_serving(self, serving: bool) -> None:
        """Whether the process is ready for work; watchers are told at once."""
        self.serving = serving
        await self.servicer.set("", _SERVING if serving else _NOT_SERVING)

    async def leave(self) -> None:
        """Sends callers away, for good: to the other replicas, before this one refuses anything."""
        for name in self._services:
            await self.servicer.set(name, _NOT_SERVING)
        await self.set_serving(False)

    async def set_dependency(self, name: str, *, reached: bool) -> None:
        """Whether one of the things that it needs is there."""
        await self.servicer.set(name, _SERVING if reached else _NOT_SERVING)
