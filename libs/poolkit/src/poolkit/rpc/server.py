"""The gRPC server of a service: its methods surrounded once, health, reflection, limits and an orderly stop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from poolkit.errors import DomainError
from poolkit.rpc.calls import Load, ServedMethod
from poolkit.rpc.health import Health
from poolkit.rpc.types import MethodHandler, StreamHandler, UnaryHandler
from poolkit.telemetry.metrics import RPC_SERVER_IN_FLIGHT

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
METADATA_BYTES_MAX: Final = 16 * 1024
IN_FLIGHT_MAX: Final = 4096
# Long enough for every caller to be refused once, and to look elsewhere or to wait.
REFUSING_SECONDS: Final = 0.1
# For answers that are written but not yet sent.
LINGER_SECONDS: Final = 0.3

SERVER_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", 1024),
    # Whoever takes longer to begin a connection is slow on purpose; gRPC itself waits two minutes.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Two processes on one port would each get some of the connections: better that the second one fails to start.
    ("grpc.so_reuseport", 0),
    # Clients ping every 30 s (pools_contracts); more often than every 10 s is abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Callers look names up anew when a connection ends: without an age, a new replica would never be found.
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
)

S = TypeVar("S")


class RpcServer:
    """A grpc.aio server on one port; create it inside the loop it runs on.

    `edge` is for a port that partners reach: trace context from outside is not adopted, and every answer carries
    `x-request-id`. More than `in_flight_max` calls at once are refused as `overloaded`. With `credentials` that ask for
    certificates, `callers` says whom a method serves, by its path. `reflects` lets anybody list what there is to call.
    """

    def __init__(
        self,
        listen: str,
        *,
        name: str,
        health: Health | None = None,
        edge: bool = False,
        credentials: grpc.ServerCredentials | None = None,
        callers: Callable[[str], frozenset[bytes]] | None = None,
        reflects: bool = True,
        in_flight_max: int = IN_FLIGHT_MAX,
        options: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.name = name
        self.listen = listen
        self.port = 0
        self.health = health or Health()
        self._edge = edge
        self._credentials = credentials
        self._callers = callers
        self._reflects = reflects
        self._load = Load(in_flight_max)
        self._methods: dict[str, MethodHandler] = {}
        self._services: list[str] = []
        self._unknown: MethodHandler | None = None
        self._server = grpc.aio.server(options=[*dict((*SERVER_OPTIONS, *options)).items()])

    def add(self, adder: Callable[[S, Any], None], servicer: S, full_name: str = "") -> None:
        """Registers a servicer with its generated `adder`. `full_name` is checked where given."""
        recorder = _Recorder()
        adder(servicer, recorder)
        for service, handlers in recorder.services.items():
            if full_name and service != full_name:
                raise ValueError(f"{adder} registers {service}, not {full_name}")
            self._services.append(service)
            for method, handler in handlers.items():
                path = f"/{service}/{method}"
                callers = self._callers(path) if self._callers is not None else None
                served = ServedMethod(path, self._load, edge=self._edge, callers=callers)
                self._methods[path] = _surrounded(handler, served)

    def on_refusal(self, tell: Callable[[str, DomainError], None]) -> None:
        """Tells of every call that was refused before its handler: by the method's name, and why."""
        self._load.on_refusal = tell

    def serve_unknown(self, handler: UnaryHandler) -> None:
        """Gives every call of a method that nobody registered to `handler`, which refuses it in its own words."""
        method = ServedMethod("/unknown/unknown", self._load, edge=self._edge)
        self._unknown = grpc.unary_unary_rpc_method_handler(method.unary(handler))

    async def start(self) -> int:
        """Begins to listen and answers the port, also when 0 was asked for. Raises OSError when the port is taken."""
        # First, since gRPC asks one after the other whose a call is.
        self._server.add_generic_rpc_handlers((_Routes(self._methods),))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        if self._reflects:
            health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(  # type: ignore[no-untyped-call]
                reflection.aio.ReflectionServicer([*self._services, health, reflection.SERVICE_NAME]), self._server
            )
        if self._unknown is not None:
            # Last: health and reflection have been asked by then.
            self._server.add_generic_rpc_handlers((_Routes({}, self._unknown),))
        try:
            if self._credentials is None:
                self.port = self._server.add_insecure_port(self.listen)
            else:
                self.port = self._server.add_secure_port(self.listen, self._credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self.listen}: {error}") from error
        self.health.add(self._services)
        RPC_SERVER_IN_FLIGHT.labels(self.name).set_function(lambda: self._load.in_flight)
        await self._server.start()
        return self.port

    @property
    def in_flight(self) -> int:
        """Calls being served now, health and reflection not counted."""
        return self._load.in_flight

    async def stop(self, grace_seconds: float) -> None:
        """Refuses more calls, waits for those under way, and cancels what is left after `grace_seconds`.

        Calls are refused by us before gRPC stops: it ends those it holds but has not handed over as CANCELLED, which
        tells a caller nothing and is not tried again.
        """
        self._load.stopping = True
        clock = asyncio.get_running_loop().time
        until = clock() + grace_seconds
        refusing_until = min(until, clock() + REFUSING_SECONDS)
        # Looking now and then, once in a process's life, is cheaper than an event that every call would have to set.
        while clock() < refusing_until or (self._load.in_flight and clock() < until):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self.health.end_watches()
        # What is left now is late.
        await self._server.stop(min(LINGER_SECONDS, grace_seconds))


class _Recorder:
    """Stands in for a server while a generated adder registers, and notes what it registers."""

    def __init__(self) -> None:
        self.services: dict[str, Mapping[str, MethodHandler]] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Carries the same methods as below, in a form that does not name them."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, MethodHandler]) -> None:
        """Notes the methods of one service."""
        self.services[service] = handlers


class _Routes(grpc.GenericRpcHandler):
    """All methods of all services in one dictionary: one look-up a call, however many services there are."""

    def __init__(self, methods: Mapping[str, MethodHandler], unknown: MethodHandler | None = None) -> None:
        self._methods = methods
        self._unknown = unknown

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> MethodHandler | None:
        """The method's handler; None lets gRPC ask the next, and in the end makes the call UNIMPLEMENTED."""
        return self._methods.get(handler_call_details.method, self._unknown)


def _surrounded(handler: MethodHandler, method: ServedMethod) -> MethodHandler:
    read, write = handler.request_deserializer, handler.response_serializer
    if handler.unary_unary is not None:
        unary = method.unary(cast("UnaryHandler", handler.unary_unary))
        return grpc.unary_unary_rpc_method_handler(unary, read, write)
    if handler.unary_stream is not None:
        stream = method.stream(cast("StreamHandler", handler.unary_stream))
        return grpc.unary_stream_rpc_method_handler(stream, read, write)
    raise ValueError("methods that stream requests are not served: batches bound what one call may bring")
