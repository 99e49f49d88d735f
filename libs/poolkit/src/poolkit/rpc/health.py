"""What a process answers to `grpc.health.v1`: `""` and each service tell readiness, `liveness` that it is alive.

What readiness stands on is told by name as well (`database`, `schema`, `broker`, …), so that one question finds what
is missing.
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
        self._names: set[str] = {""}

    async def add(self, names: Iterable[str]) -> None:
        """Makes services known by their full names, with the state of the whole."""
        self._names.update(names)
        await self.servicer.set(LIVENESS, _SERVING)
        await self.set_serving(self.serving)

    async def set_serving(self, serving: bool) -> None:
        """Whether the process takes work; watchers are told at once."""
        self.serving = serving
        for name in self._names:
            await self.servicer.set(name, _SERVING if serving else _NOT_SERVING)

    async def set_dependency(self, name: str, *, reached: bool) -> None:
        """Whether one of the things that it needs is there."""
        await self.servicer.set(name, _SERVING if reached else _NOT_SERVING)
