"""Owns a running stack: the order in which its parts start and stop, and what happens when one dies."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poolctl.stack.addresses import addresses_of
from poolctl.stack.failure import StackError
from poolctl.stack.kafka import Kafka
from poolctl.stack.layout import DEFAULT_DATA_DIRECTORY, Layout
from poolctl.stack.lock import StackLock
from poolctl.stack.migrations import migrate_together
from poolctl.stack.mtls import choose, issue, keep_issued
from poolctl.stack.orphans import stop_orphans
from poolctl.stack.parts import BrokerPart, DatabasePart, Part, ProgramPart
from poolctl.stack.ports import Ports
from poolctl.stack.postgres import Postgres
from poolctl.stack.process import ProcessIdentity
from poolctl.stack.programs import MODE, PROGRAMS, Program, Wiring
from poolctl.stack.secrets import DevSecrets, ensure_signing_key
from poolctl.stack.state import PartRecord, StackState, StatePublisher
from poolctl.stack.watch import Watch
from poolctl.stack.zipkin import ZIPKIN, ZipkinPart, url_at

Words = Callable[[str, str], None]
"""Called with a part's name and what is to be said of it."""

_LOCK_POLL_SECONDS = 0.1

STACK = "stack"
"""The name under which things are said of the whole."""


class AlreadyRunning(StackError):
    """Another process runs this stack."""


class Stack:
    """All parts on one data directory, run by this process.

    Call it from the main thread: Linux ends the parts with the thread that started them. `environment` is added to
    that of each program, by name; `restart` starts a part again when it dies, which tests that kill want to do
    themselves; with `zipkin` a page for traces is one more part; with `mtls` programs show each other certificates, and
    where that is None, if they did when they last ran.
    """

    def __init__(
        self,
        data_dir: Path | str = DEFAULT_DATA_DIRECTORY,
        *,
        programs: Sequence[Program] = PROGRAMS,
        restart: bool = False,
        zipkin: bool = False,
        mtls: bool | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        say: Words = lambda part, words: None,
    ) -> None:
        self.layout = Layout.at(data_dir)
        self._rows = tuple(programs)
        self._with_zipkin = zipkin
        self._mtls = mtls
        self._issuing: asyncio.Task[None] | None = None
        self._environment = environment or {}
        self._say_outside = say
        self._lock = StackLock(self.layout.lock_file)
        self._state: StatePublisher | None = None
        self._parts: dict[str, Part] = {}
        self._wiring: Wiring | None = None
        self._watch = Watch(restart=restart, say=self._say, start=self._start)

    @property
    def wiring(self) -> Wiring:
        """What the parts were told; there is none before `start`."""
        if self._wiring is None:
            raise RuntimeError("the stack has not been started")
        return self._wiring

    @property
    def postgres(self) -> Postgres:
        return self.wiring.postgres

    @property
    def kafka(self) -> Kafka:
        return self.wiring.kafka

    @property
    def addresses(self) -> dict[str, Any]:
        """The document of `poolctl up --json`."""
        return addresses_of(self.wiring, self._rows)

    def part(self, name: str) -> Part:
        """One part by name: postgres, kafka, a service, sandbox."""
        return self._parts[name]

    async def start(self) -> dict[str, Any]:
        """Starts all and answers the addresses when each part is ready; on failure nothing is left running.

        Raises AlreadyRunning, or StackError saying which part did not start and why.
        """
        self.layout.create()
        await self._acquire_lock()
        began = time.monotonic()
        try:
            me = ProcessIdentity.of(os.getpid()) or ProcessIdentity(os.getpid(), 0.0)
            self._state = StatePublisher(self.layout.state_file, StackState("starting", me))
            for name in await stop_orphans(self.layout):
                self._say(name, "was left behind by a stack that was killed; stopped it")
            self._build()
            await self._start_all()
        except BaseException as failure:
            await self._end(failure)
            raise
        self._publish(phase="running", addresses=self.addresses)
        self._say(STACK, f"ready after {time.monotonic() - began:.1f} s")
        return self.addresses

    async def stop(self) -> None:
        """Stops all in order: who calls others before those it calls, database and broker last."""
        await self._end(None)

    async def start_part(self, name: str, env_extra: Mapping[str, str] | None = None) -> None:
        """Starts one part and returns when it is ready; `env_extra` holds for this start only."""
        await self._watch.forget(name)
        await self._start(self._parts[name], env_extra or {})

    async def stop_part(self, name: str, sig: int | None = None) -> None:
        """Stops one part in order, with its own signal unless told another; it is not started again."""
        await self._watch.forget(name)
        process = self._parts[name].process
        if sig is not None:
            process.send(sig)
            await process.wait(process.grace_seconds)
        await process.stop()

    async def kill_part(self, name: str) -> None:
        """SIGKILL; it is not started again until `start_part`."""
        await self._watch.forget(name)
        await self._parts[name].process.kill()

    async def _acquire_lock(self) -> None:
        while not self._lock.acquire():
            state = StackState.read(self.layout.state_file)
            if state is None or state.phase != "stopping":
                raise AlreadyRunning(f"The stack in {self.layout.data_dir} is running already.")
            # Whoever ran it is on the way out.
            await asyncio.sleep(_LOCK_POLL_SECONDS)

    def _build(self) -> None:
        layout, ports = self.layout, Ports(self.layout.ports_file)
        # Of every program there is: those a stack goes without are still told to the others.
        purposes = dict.fromkeys(row.purpose(port) for row in (*PROGRAMS, *self._rows) for port in row.ports)
        own = ["postgres", "kafka", "kafka.controller", *([ZIPKIN] if self._with_zipkin else [])]
        for purpose, (old, new) in ports.choose([*own, *purposes]).items():
            self._say(STACK, f"port {old} of {purpose} is taken by somebody else; it is {new} from now on")
        postgres = Postgres(layout.postgres, ports["postgres"], log=layout.log("postgres"))
        kafka = Kafka(
            layout.kafka,
            ports["kafka"],
            controller_port=ports["kafka.controller"],
            log=layout.log("kafka"),
            report=lambda words: self._say("kafka", words),
        )
        secrets = DevSecrets.load_or_create(layout.secrets_file)
        ensure_signing_key(layout.close_signing_key_file)
        zipkin = url_at(ports[ZIPKIN]) if self._with_zipkin else None
        certificates = layout.certificates if choose(layout, self._mtls) else None
        if certificates is not None:
            renewing = keep_issued(certificates, issue(certificates), lambda words: self._say(STACK, words))
            self._issuing = asyncio.create_task(renewing, name="certificates")
        self._wiring = Wiring(layout, ports, secrets, postgres, kafka, zipkin, certificates)
        parts: list[Part] = [DatabasePart(postgres), BrokerPart(kafka, mode=MODE)]
        if self._with_zipkin:
            parts.append(ZipkinPart(layout, ports[ZIPKIN], lambda words: self._say(ZIPKIN, words)))
        parts += [ProgramPart(row, self._wiring) for row in self._rows]
        self._parts = {part.name: part for part in parts}

    async def _start_all(self) -> None:
        beside = [self._start(part) for name, part in self._parts.items() if name in ("kafka", ZIPKIN)]
        await _all_or_first_failure(self._start_database_and_migrate(), *beside)
        for wave in sorted({row.start_wave for row in self._rows}):
            names = [row.name for row in self._rows if row.start_wave == wave]
            await _all_or_first_failure(*(self._start(self._parts[name]) for name in names))
        self._watch.begin()

    async def _start_database_and_migrate(self) -> None:
        await self._start(self._parts["postgres"])
        programs = {part.program: part for part in self._parts.values() if isinstance(part, ProgramPart)}
        began = time.monotonic()
        themselves = [programs[program] for program in await migrate_together(self.wiring, list(programs))]
        await _all_or_first_failure(*(part.migrate(self._extra(part.name)) for part in themselves))
        self._say("postgres", f"migrated after {time.monotonic() - began:.1f} s")

    async def _start(self, part: Part, extra: Mapping[str, str] | None = None) -> None:
        began = time.monotonic()
        self._say(part.name, "starting")
        await part.start({**self._extra(part.name), **(extra or {})})
        self._say(part.name, f"ready after {time.monotonic() - began:.1f} s")
        self._watch.expect(part)
        self._record()

    def _extra(self, name: str) -> Mapping[str, str]:
        return self._environment.get(name, {})

    def _record(self) -> None:
        records = {
            name: PartRecord(
                port=part.port,
                version=part.version,
                pid_file=str(part.process.pid_file),
                health=self.wiring.address(part.program.purpose("health")) if isinstance(part, ProgramPart) else None,
            )
            for name, part in self._parts.items()
        }
        self._publish(parts=records)

    def _publish(self, **changes: Any) -> None:
        if self._state is not None:
            self._state.change(**changes)

    async def _end(self, failure: BaseException | None) -> None:
        try:
            if self._issuing is not None:
                self._issuing.cancel()
            await self._watch.end()
            if failure is None:
                self._publish(phase="stopping")
            for wave in sorted({_stop_wave(part) for part in self._parts.values()}):
                await asyncio.gather(*(self._stop(part) for part in self._parts.values() if _stop_wave(part) == wave))
            error = failure.to_json() if isinstance(failure, StackError) else None
            self._publish(phase="failed" if failure else "stopped", error=error, addresses=None)
        finally:
            self._lock.release()

    async def _stop(self, part: Part) -> None:
        if part.process.running:
            self._say(part.name, "stopping")
            orderly = await part.process.stop()
            self._say(part.name, "stopped" if orderly else "had to be killed")

    def _say(self, part: str, words: str) -> None:
        if self._state is not None:
            self._state.say(part, words)
        self._say_outside(part, words)


def _stop_wave(part: Part) -> int:
    """Database and broker outlive every program."""
    return part.program.stop_wave if isinstance(part, ProgramPart) else 1_000


async def _all_or_first_failure(*work: Awaitable[None]) -> None:
    """Waits for all; when one fails the others are cancelled, which stops what they were starting."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
