"""Owns the list of the stack's programs: what each is told by environment, which ports it has, and when it stops.

A program is a row. Whatever is true of all of them is said once, in `environment_of`.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poolctl.certificate_files import variables
from poolctl.sandbox.names import SETTLEMENT_SOURCE
from poolctl.stack.databases import migrator_url, runtime_url
from poolctl.stack.java_jars import user_cache_directory
from poolctl.stack.kafka import Kafka
from poolctl.stack.layout import Layout
from poolctl.stack.ports import Ports
from poolctl.stack.postgres import Postgres
from poolctl.stack.secrets import DevSecrets
from poolctl.stack.zipkin import spans_url

MODE = "test"
# What a person may set for all programs from outside; every other POOLS_* variable is the stack's to give.
PASSED_ON = ("POOLS_LOG_LEVEL", "POOLS_OTLP_ENDPOINT", "POOLS_TRACE_SAMPLES_PER_SECOND_MAX")


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the programs of one stack can be told about it and about each other."""

    layout: Layout
    ports: Ports
    secrets: DevSecrets
    postgres: Postgres
    kafka: Kafka
    zipkin: str | None = None
    """Where a Zipkin is, if the stack has one."""
    certificates: Path | None = None
    """Where everybody's certificates lie, if the stack asks for them."""

    def address(self, purpose: str) -> str:
        """`host:port` of a purpose such as `quote.grpc`."""
        return f"127.0.0.1:{self.ports[purpose]}"


def _nothing(_: Wiring) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Program:
    """One process of ours: `python -m MODULE serve`, ready when its health port says so."""

    name: str
    module: str
    distribution: str
    environment: Callable[[Wiring], Mapping[str, str]] = _nothing
    """Its own settings, on top of those of all."""
    ports: tuple[str, ...] = ("grpc", "health", "metrics")
    """Each becomes POOLS_<PORT>_LISTEN; the first is the one shown."""
    database: str | None = None
    """Its database, migrated before it starts."""
    prepare: Callable[[Wiring], Awaitable[None]] | None = None
    """What the stack asks of it once it is ready; must be harmless to repeat."""
    start_wave: int = 1
    """Programs of one wave start together, after the waves before; they stop in their own order."""
    stop_wave: int = 0
    """Who calls others stops before them."""
    python: str = sys.executable
    """What runs it: our own Python, or that of another revision of it."""

    @property
    def identity(self) -> str:
        """The name in its certificate; replicas of one program share it."""
        return self.module.rpartition(".")[2].replace("_", "-")

    def purpose(self, port: str) -> str:
        return f"{self.name}.{port}"


def _documentation_url(wiring: Wiring) -> str:
    # The gateway serves the page to whoever calls, senders of webhooks included.
    return f"http://{wiring.address('gateway.partner_rest')}/docs/errors"


def _gateway(wiring: Wiring) -> dict[str, str]:
    return {
        "POOLS_KEY_PEPPER": wiring.secrets.key_pepper,
        "POOLS_ENCRYPTION_KEY": wiring.secrets.gateway_encryption_key,
        "POOLS_QUOTE_ADDRESS": wiring.address("quote.grpc"),
        "POOLS_TRADE_ADDRESS": wiring.address("trade.grpc"),
        "POOLS_LEDGER_ADDRESS": wiring.address("ledger.grpc"),
        "POOLS_WEBHOOK_INGEST_ADDRESS": wiring.address("webhook-ingest.grpc"),
        "POOLS_DOCUMENTATION_URL": _documentation_url(wiring),
        # High enough for everything one machine can do: here the stack is measured, not defended.
        **{
            f"POOLS_{who}_CALLS_{what}": "100000" for who in ("KEY", "ORGANIZATION") for what in ("PER_SECOND", "BURST")
        },
        # Partners of a dev stack listen on this machine.
        "POOLS_ALLOW_PRIVATE_ENDPOINTS": "true",
    }


def _ledger(wiring: Wiring) -> dict[str, str]:
    return {
        "POOLS_CLOSE_SIGNING_KEY_FILE": str(wiring.layout.close_signing_key_file),
        "POOLS_QUOTE_ADDRESS": wiring.address("quote.grpc"),
        "POOLS_TRADE_ADDRESS": wiring.address("trade.grpc"),
        "POOLS_WEBHOOK_INGEST_ADDRESS": wiring.address("webhook-ingest.grpc"),
    }


def _trade(wiring: Wiring) -> dict[str, str]:
    return {
        "POOLS_QUOTE_ADDRESS": wiring.address("quote.grpc"),
        "POOLS_LEDGER_ADDRESS": wiring.address("ledger.grpc"),
    }


def _webhook_ingest(wiring: Wiring) -> dict[str, str]:
    return {
        "POOLS_DOCUMENTATION_URL": _documentation_url(wiring),
        "POOLS_ENCRYPTION_KEY": wiring.secrets.webhook_ingest_encryption_key,
        "POOLS_TRADE_ADDRESS": wiring.address("trade.grpc"),
        "POOLS_LEDGER_ADDRESS": wiring.address("ledger.grpc"),
        "POOLS_PROVIDER_URL": f"http://{wiring.address('sandbox.provider')}",
        "POOLS_PROVIDER_SOURCE": SETTLEMENT_SOURCE,
    }


def _sandbox(wiring: Wiring) -> dict[str, str]:
    return {
        "POOLS_WEBHOOKS_URL": f"http://{wiring.address('webhook-ingest.webhook')}",
        "POOLS_QUOTE_ADDRESS": wiring.address("quote.grpc"),
        "POOLS_TRADE_ADDRESS": wiring.address("trade.grpc"),
        "POOLS_SETTLEMENT_SOURCE_SECRET": wiring.secrets.settlement_source_secret,
        "POOLS_BANK_SOURCE_SECRET": wiring.secrets.bank_source_secret,
    }


async def _register_sandbox(wiring: Wiring) -> None:
    from poolctl.stack.sources import ensure_sandbox_sources

    await ensure_sandbox_sources(wiring)


SERVICES = (
    Program("quote", "quote", "pools-quote", database="quote", stop_wave=3),
    Program("ledger", "ledger", "pools-ledger", _ledger, database="ledger", stop_wave=3),
    Program("trade", "trade", "pools-trade", _trade, database="trade", stop_wave=2),
    Program(
        "webhook-ingest",
        "webhook_ingest",
        "pools-webhook-ingest",
        _webhook_ingest,
        ports=("grpc", "health", "metrics", "webhook"),
        database="webhook_ingest",
        prepare=_register_sandbox,
        stop_wave=1,
    ),
    Program(
        "gateway",
        "gateway",
        "pools-gateway",
        _gateway,
        ports=("grpc", "health", "metrics", "partner_grpc", "partner_rest"),
        database="gateway",
        stop_wave=1,
    ),
)
# Started when all else is ready, because when it is ready rates are fresh and pools are topped up.
SANDBOX = Program("sandbox", "poolctl.sandbox", "poolctl", _sandbox, ports=("health", "provider"), start_wave=2)
PROGRAMS = (*SERVICES, SANDBOX)


def base_environment() -> dict[str, str]:
    """What every process of ours gets. Nothing of ours comes in from outside, save what a person may set for all."""
    ours = ("POOLS_", "PG")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Someone wants no compiled Python beside the sources. Kept elsewhere it disturbs nobody, and without it six
        # programs compile all they import at every start, which takes four times as long.
        environment["PYTHONPYCACHEPREFIX"] = str(user_cache_directory() / "bytecode")
    # A log line is on disk when it is said: what a killed process said last is what one wants to read.
    environment["PYTHONUNBUFFERED"] = "1"
    # Each thread's own heap costs tens of megabytes and wins nothing under one event loop.
    environment["MALLOC_ARENA_MAX"] = "2"
    return environment


def environment_of(program: Program, wiring: Wiring, extra: Mapping[str, str], *, migrating: bool) -> dict[str, str]:
    """All that a program gets."""
    environment = base_environment() | {
        "POOLS_MODE": MODE,
        "POOLS_KAFKA_BOOTSTRAP": wiring.kafka.bootstrap,
        "POOLS_SPAN_DIRECTORY": str(wiring.layout.spans),
        **{f"POOLS_{port.upper()}_LISTEN": wiring.address(program.purpose(port)) for port in program.ports},
        **program.environment(wiring),
    }
    if wiring.zipkin is not None:
        environment["POOLS_ZIPKIN_ENDPOINT"] = spans_url(wiring.zipkin)
    if wiring.certificates is not None:
        environment |= variables(wiring.certificates / program.identity)
        # poolctl keeps gRPC quiet for its own sake; a server's line about a caller it refused is to be seen.
        environment.pop("GRPC_VERBOSITY", None)
    if program.database is not None:
        environment["POOLS_DATABASE_URL"] = runtime_url(wiring.postgres, program.database)
        if migrating:
            # Only for as long as it migrates: a serving process never holds the key to its own tables.
            environment["POOLS_MIGRATOR_DATABASE_URL"] = migrator_url(wiring.postgres, program.database)
    return environment | dict(extra)
