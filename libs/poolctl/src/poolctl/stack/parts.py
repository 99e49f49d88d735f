"""Owns the parts of a running stack: database, broker and programs, each startable, stoppable and killable alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Protocol

from poolctl.stack.databases import ensure_databases
from poolctl.stack.failure import StackError
from poolctl.stack.health import is_listening, is_serving
from poolctl.stack.kafka import Kafka
from poolctl.stack.kafka_program import KAFKA_VERSION
from poolctl.stack.postgres import Postgres
from poolctl.stack.process import Process
from poolctl.stack.programs import Program, Wiring, environment_of

_READY_SECONDS = 60.0
_MIGRATE_SECONDS = 120.0
_POLL_SECONDS = 0.05


class Part(Protocol):
    """What the supervisor knows of a part."""

    name: str
    process: Process

    @property
    def port(self) -> int: ...
    @property
    def version(self) -> str: ...

    async def start(self, extra: Mapping[str, str]) -> None:
        """Returns when it is ready; raises StackError, with nothing of it left running, when it does not become so."""

    async def is_ready(self) -> bool: ...


class DatabasePart:
    """PostgreSQL with the databases and roles of all services."""

    name = "postgres"

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self.process = postgres.process

    @property
    def port(self) -> int:
        return self._postgres.port

    @property
    def version(self) -> str:
        return self._postgres.version

    async def start(self, extra: Mapping[str, str]) -> None:
        await self._postgres.start()
        await ensure_databases(self._postgres)

    async def is_ready(self) -> bool:
        return self.process.running and self._postgres.is_ready()


class BrokerPart:
    """Kafka with the topics of all services."""

    name = "kafka"
    version = KAFKA_VERSION

    def __init__(self, kafka: Kafka, *, mode: str) -> None:
        self._kafka = kafka
        self._mode = mode
        self.process = kafka.process

    @property
    def port(self) -> int:
        return self._kafka.port

    async def start(self, extra: Mapping[str, str]) -> None:
        from poolkit.kafka import ensure_topics

        await self._kafka.start()
        await ensure_topics(self._kafka.bootstrap, self._mode)

    async def is_ready(self) -> bool:
        # Kafka opens its port last, when it has been let in by its controller.
        return self.process.running and await is_listening(self.port)


class ProgramPart:
    """One of our own processes."""

    def __init__(self, program: Program, wiring: Wiring) -> None:
        self.name = program.name
        self.program = program
        self._wiring = wiring
        self.process = Process(
            program.name, log=wiring.layout.log(program.name), pid_file=wiring.layout.pid_file(program.name)
        )

    @property
    def port(self) -> int:
        return self._wiring.ports[self.program.purpose(self.program.ports[0])]

    @property
    def version(self) -> str:
        try:
            return version(self.program.distribution)
        except PackageNotFoundError:
            return "unknown"

    async def migrate(self, extra: Mapping[str, str]) -> None:
        """Brings its database to the head of its migrations; harmless when it is there."""
        if self.program.database is None:
            return
        self._check_installed()
        run = Process(
            f"{self.name}-migrate",
            log=self.process.log,
            pid_file=self._wiring.layout.pid_file(f"{self.name}-migrate"),
        )
        run.start_python(
            [self.program.module, "migrate"],
            environment=environment_of(self.program, self._wiring, extra, migrating=True),
        )
        try:
            if not await run.wait(_MIGRATE_SECONDS) or run.exit_code != 0:
                raise run.failure(
                    f"The database of {self.name} could not be migrated",
                    "Nothing of a failed migration is kept; mend it and run the same command again.",
                )
        finally:
            await run.kill()

    async def start(self, extra: Mapping[str, str]) -> None:
        if self.process.running:
            return
        self._check_installed()
        self.process.start_python(
            [self.program.module, "serve"],
            environment=environment_of(self.program, self._wiring, extra, migrating=False),
            python=self.program.python,
        )
        try:
            await self._wait_until_ready()
            if self.program.prepare is not None:
                await self._prepare(self.program.prepare)
        except BaseException:
            await self.process.stop()
            raise

    async def is_ready(self) -> bool:
        health = self.program.purpose("health")
        # While it loads nobody listens, and finding that out by gRPC costs it processor time that it needs to load.
        return (
            self.process.running
            and await is_listening(self._wiring.ports[health])
            and await is_serving(self._wiring.address(health))
        )

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not await self.is_ready():
            if not self.process.running:
                raise self.process.failure(f"{self.name} did not start", "The end of its log says why.")
            if time.monotonic() > deadline:
                raise self.process.failure(
                    f"{self.name} runs but was not ready within {_READY_SECONDS:.0f} s",
                    "It is not ready while its database or broker is out of reach; its log says which.",
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _prepare(self, prepare: Callable[[Wiring], Awaitable[None]]) -> None:
        try:
            await prepare(self._wiring)
        except Exception as failure:
            raise StackError(
                f"{self.name} is ready but refused what the stack asks of it: {failure}",
                advice="The end of its log says more.",
                log=self.process.log,
                tail=self.process.tail(),
            ) from failure

    def _check_installed(self) -> None:
        package = self.program.module.partition(".")[0]
        if find_spec(package) is None or find_spec(self.program.module) is None:
            raise StackError(
                f"{self.name} is not installed: there is no Python package {self.program.module}.",
                advice=f"Run `make setup`, or install {self.program.distribution} beside poolctl.",
            )
