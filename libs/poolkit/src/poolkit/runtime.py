"""What a service is made of while it runs, and the order in which the parts begin and end."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import grpc
import structlog

from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.readiness import Check, Readiness
from poolkit.rpc.callers import allowed_callers
from poolkit.rpc.certificates import Certificates
from poolkit.rpc.channels import Channel
from poolkit.rpc.colleagues import Colleagues
from poolkit.rpc.health import Health
from poolkit.rpc.server import RpcServer
from poolkit.schema import SchemaCheck
from poolkit.settings import ServiceSettings
from poolkit.supervision import Loops
from poolkit.telemetry.metrics import start_metrics_server

if TYPE_CHECKING:
    from poolkit.http.server import HttpServer
    from poolkit.http.types import App, Refuse
    from poolkit.kafka import Producer

SettingsType = TypeVar("SettingsType", bound=ServiceSettings)

# Time for callers to see that the service is leaving, before its ports close.
NOTICE_SECONDS: Final = 0.25
CLOSE_SECONDS_MAX: Final = 5.0
DATABASE_RETRY_SECONDS: Final = 0.2
# A batch under way is thousands of objects that reference counts will free: looking through them every 700 costs a
# server 7 % of its CPU and finds nothing.
GC_THRESHOLDS: Final = (20_000, 50, 50)


class Consumer(Protocol):
    """An event consumer, as the runtime drives it."""

    @property
    def name(self) -> str:
        """What it is called in logs and readiness."""

    @property
    def ready(self) -> bool:
        """Whether it has its partitions and reads."""

    async def run(self) -> None:
        """Consumes until stopped."""

    async def stop(self) -> None:
        """Finishes the batch in hand, commits, and leaves the group."""

    async def count_dead_letters(self) -> None:
        """Keeps count of what was set aside and waits, until cancelled."""


class Server(Protocol):
    """A listening side of the service."""

    name: str
    port: int

    async def start(self) -> int:
        """Begins to listen and answers the port."""

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more, finishes what was taken."""


class Runtime(Generic[SettingsType]):
    """Given to a service's `build`, which hangs all the service is made of on it; nothing runs before it returns."""

    def __init__(self, service: str, settings: SettingsType, migrations: Path | None = None) -> None:
        self.service = service
        self.settings = settings
        self.mode: str = settings.mode
        self.log = structlog.get_logger(service)
        self.database = Database(
            settings.database_url.get_secret_value(),
            application_name=service,
            pool_size=settings.database_pool_size,
        )
        self.health = Health()
        certificates = Certificates.of(settings)
        # Listing what there is to call helps who develops, and in production nobody who should be helped.
        self._reflects = settings.mode != "live"
        self.rpc = RpcServer(
            settings.grpc_listen,
            name="internal",
            health=self.health,
            credentials=certificates.server_credentials() if certificates else None,
            callers=(lambda path: allowed_callers(path, settings.mode)) if certificates else None,
            reflects=self._reflects,
        )
        self._health_server = RpcServer(
            settings.health_listen, name="health", health=self.health, reflects=self._reflects
        )
        self._rpc_servers = [self.rpc]
        self._http_servers: list[HttpServer] = []
        self._consumers: list[Consumer] = []
        self._loops = Loops()
        self._colleagues = Colleagues(service, certificates)
        if certificates is not None:
            self.add_loop("certificates", self._colleagues.watch)
        self._readiness = Readiness(self.health)
        self._watch: asyncio.Task[None] | None = None
        self._producer: Producer | None = None
        self._drains: list[Callable[[], Awaitable[None]]] = []
        self._closes: list[Callable[[], Awaitable[None]]] = []
        self.readiness("database", self.database.is_ready)
        self._schema = SchemaCheck(self.database, migrations) if migrations else None
        if self._schema is not None:
            self.readiness("schema", self._schema.is_usable)

    # What `build` calls.

    def add_rpc(
        self, listen: str, name: str, *, edge: bool = True, credentials: grpc.ServerCredentials | None = None
    ) -> RpcServer:
        """Another RPC server beside `rpc`, on its own port; `edge` when strangers call it."""
        server = RpcServer(
            listen, name=name, health=self.health, edge=edge, credentials=credentials, reflects=self._reflects
        )
        self._rpc_servers.append(server)
        return server

    def add_http(
        self,
        app: "App",
        listen: str,
        *,
        name: str = "http",
        deadline_seconds: float = 2.0,
        refuse: "Refuse | None" = None,
    ) -> "HttpServer":
        """An ASGI application on its own port, in this loop; `refuse` answers what it is not given."""
        from poolkit.http.errors import send_error
        from poolkit.http.server import HttpServer

        server = HttpServer(
            app,
            listen,
            name=name,
            deadline_seconds=deadline_seconds,
            refuse=refuse or send_error,
            is_ready=lambda: self.health.serving,
        )
        self._http_servers.append(server)
        return server

    def add_loop(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """A background loop; a crash is logged and the loop begun again with backoff. Cancelled to stop."""
        self._loops.add(name, loop)

    def add_consumer(self, consumer: Consumer) -> None:
        """A consumer of events; the service is ready only while it reads, and counts what it has set aside."""
        self._consumers.append(consumer)
        self._loops.add(f"consumer {consumer.name}", consumer.run)
        self._loops.add(f"dead letters {consumer.name}", consumer.count_dead_letters)

        async def reads() -> bool:
            return consumer.ready

        self.readiness(f"consumer {consumer.name}", reads)

    @property
    def producer(self) -> "Producer":
        """The way to the broker, opened when first used; the service is ready only while the broker answers."""
        if self._producer is None:
            from poolkit.kafka import Producer

            self._producer = Producer(self.settings.kafka_bootstrap, client_id=self.service)
            self.readiness("broker", self._producer.is_ready)
        return self._producer

    def channel(self, address: str, service: str) -> Channel:
        """A channel to the colleague at `host:port`, one for each address, closed with the service.

        `service` is the full name of what is called there; replicas that no longer take its calls get none.
        """
        return self._colleagues.channel(address, service)

    def readiness(self, name: str, check: Check) -> None:
        """One more thing that must answer True for the service to be ready."""
        self._readiness.add(name, check)

    def on_drain(self, drain: Callable[[], Awaitable[None]]) -> None:
        """Called after the last request was answered, to finish accepted work: a batcher's `drain`. In order."""
        self._drains.append(drain)

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Called when all work is done, before the broker and the database are let go. In reverse order."""
        self._closes.append(close)

    # What `poolkit.service` calls.

    async def start(self, build: "Callable[[Runtime[SettingsType]], Awaitable[None]]") -> None:
        """Liveness first, then the database, then what `build` hangs on, then the ports, then readiness."""
        await self._health_server.start()
        metrics_port = start_metrics_server(self.settings.metrics_listen)
        await self._reach_database()
        await self._await_schema()
        await build(self)
        servers: list[Server] = [*self._rpc_servers, *self._http_servers]
        for server in servers:
            await server.start()
        self._loops.start()
        await self._readiness.look()
        self._watch = asyncio.create_task(self._readiness.run(), name="readiness")
        ports = {server.name: server.port for server in servers}
        ports |= {"health": self._health_server.port, "metrics": metrics_port}
        self.log.info("service_started", ports=ports, mode=self.mode)
        # What lives now lives to the end: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def _reach_database(self) -> None:
        warned = False
        while True:
            try:
                await self.database.connect()
            except Unavailable as error:
                if not warned:
                    self.log.warning("database_out_of_reach", exc_info=error.__cause__)
                warned = True
                await asyncio.sleep(DATABASE_RETRY_SECONDS)
            else:
                return

    async def _await_schema(self) -> None:
        """`build` works on the schema already; until that can be, health says that this is what is missing."""
        while self._schema is not None and not await self._schema.is_usable():
            self.health.set_dependency("schema", reached=False)
            await asyncio.sleep(DATABASE_RETRY_SECONDS)

    async def stop(self) -> None:
        """Says so, takes no more work, finishes what was accepted, lets go. Safe at any point of the start."""
        self.log.info("service_draining")
        grace_seconds = self.settings.drain_seconds
        await self._readiness.drain()
        for http in self._http_servers:
            http.drain()
        await asyncio.sleep(min(NOTICE_SECONDS, grace_seconds))
        await self._each("consumer", [consumer.stop for consumer in self._consumers], grace_seconds)
        await self._loops.stop(grace_seconds)
        servers: list[Server] = [*self._rpc_servers, *self._http_servers]
        await asyncio.gather(*(server.stop(grace_seconds) for server in servers))
        for drain in self._drains:
            await self._each("drain", [drain], grace_seconds)
        for close in reversed(self._closes):
            await self._each("close", [close], CLOSE_SECONDS_MAX)
        await self._each("channel", [self._colleagues.close], CLOSE_SECONDS_MAX)
        if self._producer is not None:
            await self._each("producer", [self._producer.stop], CLOSE_SECONDS_MAX)
        await self._each("database", [self.database.close], CLOSE_SECONDS_MAX)
        if self._watch is not None:
            self._watch.cancel()
        await self._health_server.stop(0)
        self.log.info("service_stopped")

    async def _each(self, what: str, steps: list[Callable[[], Awaitable[None]]], seconds_max: float) -> None:
        """Runs the steps together; one that fails or takes too long must not keep the others from ending well."""
        results = await asyncio.gather(
            *(asyncio.wait_for(step(), seconds_max) for step in steps), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                self.log.warning("service_stop_step_failed", step=what, exc_info=result)
