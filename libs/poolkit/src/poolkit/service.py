"""The console entry of every service: `serve` (the default), `migrate`, tasks of its own; told by the environment."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import structlog
import uvloop

from poolkit import crashpoints
from poolkit.logs import configure_logging
from poolkit.runtime import Runtime
from poolkit.settings import MigratorSettings, ServiceSettings, load, variable
from poolkit.telemetry.tracing import configure_tracing, shutdown_tracing

__all__ = ["Runtime", "main"]

S = TypeVar("S", bound=ServiceSettings)

Task = Callable[[Path, Sequence[str]], None]
"""A command of one service: gets the directory of the migrations and the words that follow its name."""

log = structlog.get_logger(__name__)


def main(
    service: str,
    settings_class: type[S],
    build: Callable[[Runtime[S]], Awaitable[None]],
    migrations: Path | None = None,
    arguments: Sequence[str] | None = None,
    tasks: Mapping[str, Task] = MappingProxyType({}),
) -> None:
    """Runs the service until SIGTERM or SIGINT, or migrates its database; exits 1 on failure, 2 on wrong usage.

    `tasks` are commands of its own, which read their own settings.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in tasks and migrations is not None:
        tasks[words[0]](migrations, words[1:])
        return
    command = _parser(service, settings_class, tasks).parse_args(words).command
    if command == "migrate":
        _migrate(service, load(MigratorSettings, besides=settings_class), migrations)
        return
    settings = load(settings_class)
    configure_logging(service, settings.log_level, settings.log_format)
    crashpoints.arm(settings.crashpoint)
    configure_tracing(service, settings)
    try:
        uvloop.run(_serve(service, settings, build, migrations))
    except Exception as error:
        log.critical("service_failed", exc_info=error)
        sys.exit(1)
    finally:
        shutdown_tracing()


async def _serve(
    service: str, settings: S, build: Callable[[Runtime[S]], Awaitable[None]], migrations: Path | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_leave, stop)
    runtime = Runtime(service, settings, migrations)
    starting = asyncio.create_task(runtime.start(build), name="start")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if starting.done():
            await starting
            await stopping
        else:
            starting.cancel()
            await asyncio.wait({starting})
    finally:
        await runtime.stop()


def _stop_or_leave(stop: asyncio.Event) -> None:
    if stop.is_set():
        # Asked twice: whoever asks wants it gone now, and every write is safe to be cut.
        os._exit(1)
    stop.set()


def _migrate(service: str, settings: MigratorSettings, migrations: Path | None) -> None:
    # Imported here: a serving process must not pay for Alembic.
    from poolkit.migrations import migrate

    configure_logging(service, settings.log_level, settings.log_format)
    if migrations is None:
        print(f"{service} has no schema to migrate.", file=sys.stderr)
        sys.exit(1)
    try:
        migrate(
            settings.migrator_database_url.get_secret_value(),
            migrations,
            settings.lock_timeout_ms,
            role=settings.runtime_role,
        )
    except Exception as error:
        log.critical("migration_failed", exc_info=error)
        sys.exit(1)
    log.info("migrated")


def _parser(service: str, settings_class: type[ServiceSettings], tasks: Mapping[str, Task]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=service,
        description=f"The {service} service of 0Pools. Everything it is told comes from the environment:",
        epilog=_environment(settings_class),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "migrate", *tasks),
        default="serve",
        help="serve until SIGTERM (the default), or bring the database to the newest schema"
        + "".join(f"; `{service} {task} --help` tells of {task}" for task in tasks),
    )
    return parser


def _environment(settings_class: type[ServiceSettings]) -> str:
    lines = []
    for command, settings in (("serve", settings_class), ("migrate", MigratorSettings)):
        lines.append(f"environment of `{command}`:")
        for name, field in settings.model_fields.items():
            need = "required" if field.is_required() else f"default {field.default!r}"
            lines.append(f"  {variable(name):<34} {field.description or ''} ({need})")
    return "\n".join(lines)
