"""Owns the stack's Kafka: one node that is broker and controller, in a directory of its own, on loopback."""

import asyncio
import base64
import os
import time
import uuid
from pathlib import Path

from poolctl.stack.java_jars import Report
from poolctl.stack.kafka_program import KafkaProgram
from poolctl.stack.ports import free_port
from poolctl.stack.process import Process, stop_orphan

_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
# The serial collector and the first compiler start fastest and take the least; a dev stack's broker is never the limit.
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xms48m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # One node: whatever Kafka keeps for itself has one copy, and few partitions, each of which costs files and memory.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After kill -9 the controller waits for the dead broker's session to end before it serves again.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.index.size.max.bytes": "1048576",
}

_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.broker.name = kafka.server.BrokerServer
logger.broker.level = info
logger.process.name = kafka.server.KafkaRaftServer
logger.process.level = info
"""


class Kafka:
    """Kafka in `directory` on 127.0.0.1:`port`, started and stopped as often as one likes; the data stays."""

    def __init__(
        self,
        directory: Path | str,
        port: int,
        *,
        controller_port: int | None = None,
        log: Path | None = None,
        program: KafkaProgram | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.port = port
        self._controller_port = controller_port
        self._program = program
        self._report = report
        self.process = Process(
            "kafka",
            log=log or self.directory / "kafka.log",
            pid_file=self.directory / "kafka.pid",
            grace_seconds=20.0,
        )

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Fetches the program if need be, recovers what a killed broker left, and returns when it takes messages."""
        if self.process.running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        program = self._program or await self._ready_program()
        await stop_orphan(
            self.process.pid_file, stop_signal=self.process.stop_signal, grace_seconds=self.process.grace_seconds
        )
        try:
            await self._format_once(program)
            await self._start_broker(program)
        except BaseException:
            await self.process.stop()
            raise

    async def stop(self) -> None:
        """Controlled shutdown."""
        await self.process.stop()

    async def kill(self) -> None:
        """As a power cut would; the next start recovers, which takes until the dead broker's session ends (3 s)."""
        await self.process.kill()

    async def _ready_program(self) -> KafkaProgram:
        # Late, because the rehearsal that makes the start-up cache runs a Kafka itself.
        from poolctl.stack.kafka_startup import ready_program

        return await ready_program(self.directory / "program", self._report)

    def _write_configuration(self) -> Path:
        controller = self._controller_port or free_port()
        settings = _SETTINGS | {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self.directory / "data"),
        }
        configuration = self.directory / "server.properties"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (self.directory / "log4j2.properties").write_text(_LOGGING)
        return configuration

    async def _format_once(self, program: KafkaProgram) -> None:
        configuration = self._write_configuration()
        if (self.directory / "data" / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # Joined with =, because an id may begin with a dash and would be read as an option.
        arguments = ("format", f"--cluster-id={cluster_id}", "--config", str(configuration), "--ignore-formatted")
        formatter = Process("kafka-format", log=self.process.log, pid_file=self.directory / "format.pid")
        formatter.start(
            program.command("kafka.tools.StorageTool", *arguments, options=self._options()), environment=_environment()
        )
        try:
            if not await formatter.wait(_START_SECONDS) or not (self.directory / "data" / "meta.properties").exists():
                raise formatter.failure(
                    f"Kafka could not prepare its storage in {self.directory / 'data'}",
                    "Look at its log below; disk space and permissions are the usual reasons.",
                )
        finally:
            await formatter.kill()

    def _options(self) -> tuple[str, ...]:
        return (*_JAVA_OPTIONS, f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}")

    async def _start_broker(self, program: KafkaProgram) -> None:
        configuration = str(self.directory / "server.properties")
        options = (*self._options(), *program.rehearsal_options)
        self.process.start(program.command("kafka.Kafka", configuration, options=options), environment=_environment())
        deadline = time.monotonic() + _START_SECONDS
        while self.process.running and time.monotonic() < deadline:
            if await self._takes_messages():
                return
            await asyncio.sleep(_POLL_SECONDS)
        raise self.process.failure(
            f"Kafka did not start on {self.bootstrap}",
            "If the port is taken, end who has it, or remove ports.json from the data directory.",
        )

    async def _takes_messages(self) -> bool:
        """Whether the controller has let the broker in, which is later than its port being open."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        from aiokafka.admin import AIOKafkaAdminClient
        from aiokafka.errors import KafkaError

        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"]) and self.process.running
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()


def _environment() -> dict[str, str]:
    """Nothing of ours: JAVA_TOOL_OPTIONS and KAFKA_* of the person at the keyboard must not reach the broker."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
