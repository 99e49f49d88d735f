"""What a process answers to `grpc.health.v1`: `""` tells readiness, `liveness` that it is alive.

What readiness stands on is told by name as well (`database`, `schema`, `broker`, …), so that one question finds what
is missing. The full name of a service tells callers whether its calls are taken: from the opening of the port until
the process is about to stop, whatever is out of reach. So callers leave a replica that goes, and stay with one that
is the last to answer while a broker that all of them share is away.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from poolkit.rpc.types import Context

LIVENESS = "liveness"

_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):
    """One state for all ports of a process. Not serving until told otherwise; alive until it is gone.

    gRPC's own servicer writes to its watchers under a lock that whoever changes the state waits for as well, so that
    one watcher with a full pipe would keep a service from draining; here nobody waits for a watcher.
    """

    def __init__(self) -> None:
        self.serving = False
        self._services: set[str] = set()
        self._states: dict[str, int] = {"": _NOT_SERVING}
        self._changed = asyncio.Event()
        self._is_over = False

    def add(self, services: Iterable[str]) -> None:
        """Makes services known by their full names: their calls are taken now."""
        self._services.update(services)
        self._tell({LIVENESS: _SERVING, **dict.fromkeys(self._services, _SERVING)})

    def set_serving(self, serving: bool) -> None:
        """Whether the process is ready for work; watchers are told at once."""
        self.serving = serving
        self._tell({"": _SERVING if serving else _NOT_SERVING})

    def leave(self) -> None:
        """Sends callers away, for good: to the other replicas, before this one refuses anything."""
        self.serving = False
        self._tell({"": _NOT_SERVING, **dict.fromkeys(self._services, _NOT_SERVING)})

    def set_dependency(self, name: str, *, reached: bool) -> None:
        """Whether one of the things that it needs is there."""
        self._tell({name: _SERVING if reached else _NOT_SERVING})

    def end_watches(self) -> None:
        """Lets watchers go, who would otherwise keep a server from stopping; new ones are told once."""
        self._is_over = True
        self._tell({})

    def _tell(self, states: Mapping[str, int]) -> None:
        self._states.update(states)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:  # noqa: N802 - the method's name in the proto
        """The state of a name; NOT_FOUND for one that nobody has told of."""
        state = self._states.get(request.service)
        if state is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=state)

    async def Watch(  # noqa: N802 - the method's name in the proto
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state of a name now and whenever it is another; SERVICE_UNKNOWN while nobody has told of it."""
        told = None
        while True:
            changed, state = self._changed, self._states.get(request.service, _UNKNOWN)
            if state != told:
                told = state
                yield health_pb2.HealthCheckResponse(status=state)
            if self._is_over:
                return
            await changed.wait()
