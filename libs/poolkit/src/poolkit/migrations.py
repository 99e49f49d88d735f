"""Owns bringing a service's database to the newest schema: one process at a time, never waiting long for a lock."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog
from alembic import context as current_environment
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from poolkit.connection_pool import plain_url
from poolkit.database_errors import reraise
from poolkit.errors import Unavailable
from poolkit.schema import read_revisions

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

# Any number that nothing else in a service's own database uses.
_ADVISORY_LOCK: Final = 0x706F6F6C73
_TURN_SECONDS_MAX: Final = 120.0
_LOCK_TRIES: Final = 5

# Alembic's `op` and `context` are process-wide.
_alembic = threading.Lock()
_log = structlog.get_logger("poolkit.migrations")


def runtime_role() -> str:
    """For use inside a migration: the role to which it grants what the service uses, quoted if need be."""
    role: str = current_environment.config.attributes["runtime_role"]
    return role


def migrate(url: str, versions: Path | str, lock_timeout_ms: int = 5000, *, role: str = "", service: str = "") -> None:
    """Upgrades to the newest revision; does nothing when it is there. Not for use inside an event loop.

    `versions` is the directory of revisions (or its parent), or the name of a package that holds them. Each revision
    is a transaction of its own, so what was done before a failure stays done. A revision that does not get its lock
    within `lock_timeout_ms` rolls back and is tried again a few times: while it waits for a lock, every query behind
    it waits too. `role` is what `runtime_role()` answers; by default the URL's user with `_migrator` replaced by
    `_runtime`. Raises Unavailable when the database is out of reach, or another process migrates for too long.
    """
    runtime = role or (f"{service}_runtime" if service else _runtime_role_beside(url))
    with _alembic:
        asyncio.run(_upgrade(url, _directory(versions), lock_timeout_ms, runtime))


async def upgrade(
    url: str, versions: Path | str, lock_timeout_ms: int = 5000, *, role: str = "", service: str = ""
) -> None:
    """The same as `migrate`, inside an event loop."""
    await asyncio.to_thread(migrate, url, versions, lock_timeout_ms, role=role, service=service)


async def schema_version(url: str) -> str | None:
    """The revision a database is at; None where nothing was ever migrated."""
    try:
        driver = await asyncpg.connect(plain_url(url), timeout=5)
        try:
            if await driver.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            revision: str | None = await driver.fetchval("SELECT version_num FROM alembic_version")
            return revision
        finally:
            await driver.close()
    except (OSError, asyncpg.PostgresError) as exc:
        reraise(exc, None)


def _runtime_role_beside(url: str) -> str:
    user = make_url(url).username or ""
    if not user.endswith("_migrator"):
        raise ValueError(f"cannot tell the runtime role from the migrating user {user!r}: name it")
    return f"{user.removesuffix('_migrator')}_runtime"


def _directory(versions: Path | str) -> Path:
    directory = versions if isinstance(versions, Path) else Path(str(files(versions)))
    inner = directory / "versions"
    return inner if inner.is_dir() else directory


async def _upgrade(url: str, versions: Path, lock_timeout_ms: int, role: str) -> None:
    engine = _engine(url, lock_timeout_ms)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_wait_for_turn)
            for attempt in range(1, _LOCK_TRIES + 1):
                try:
                    await connection.run_sync(_run, versions, role)
                    return
                except (DBAPIError, asyncpg.PostgresError) as exc:
                    await connection.rollback()
                    if not _is_lock_timeout(exc) or attempt == _LOCK_TRIES:
                        raise
                    _log.warning("lock not available, trying again", attempt=attempt)
                    await asyncio.sleep(lock_timeout_ms / 1000)
    except (DBAPIError, asyncpg.PostgresError, OSError) as exc:
        reraise(exc, None)
    finally:
        await engine.dispose()


def _engine(url: str, lock_timeout_ms: int) -> AsyncEngine:
    async def connect(*_args: Any, **_kwargs: Any) -> Any:
        settings = {"lock_timeout": str(lock_timeout_ms), "application_name": "migrate", "timezone": "UTC"}
        return await asyncpg.connect(plain_url(url), timeout=5, server_settings=settings)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    event.listen(engine.sync_engine, "do_execute", _run_script)
    return engine


def _run_script(cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext) -> bool:
    """Sends a text of several statements by the simple protocol; a prepared statement, the dialect's way, takes one."""
    if parameters or ";" not in statement.rstrip().rstrip(";"):
        return False
    # Something has to go the usual way first, or the dialect has not yet begun the transaction.
    cursor.execute("SET LOCAL client_min_messages = warning", ())
    driver = context.root_connection.connection.driver_connection
    assert driver is not None
    await_only(driver.execute(statement))
    return True


def _wait_for_turn(connection: Connection) -> None:
    """Replicas that start together migrate one after the other; the lock goes with the connection."""
    deadline = time.monotonic() + _TURN_SECONDS_MAX
    # Asking instead of waiting in the database: lock_timeout would end the wait.
    while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_LOCK}).scalar():
        connection.commit()
        if time.monotonic() > deadline:
            raise Unavailable("Another process has been migrating this database for too long.")
        await_only(asyncio.sleep(0.1))
    connection.commit()


def _run(connection: Connection, versions: Path, role: str) -> None:
    script = ScriptDirectory(str(versions.parent), version_locations=[str(versions)])
    config = Config(attributes={"runtime_role": role})
    oldest_services = {revision.name: revision.oldest_service for revision in read_revisions(versions)}

    def revisions(current: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("head", current)  # noqa: SLF001 - what `alembic upgrade` itself calls

    def tell_services(
        ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
    ) -> None:
        """In the revision's own transaction: which services work on the schema it leaves, for them to read."""
        oldest = oldest_services[str(step.up_revision_id)].replace("'", "''")
        ctx.execute("ALTER TABLE alembic_version ADD COLUMN IF NOT EXISTS oldest_service text")
        ctx.execute(f"UPDATE alembic_version SET oldest_service = '{oldest}'")  # noqa: S608 - our own file's word
        ctx.execute(f"GRANT SELECT ON alembic_version TO {role}")

    with EnvironmentContext(config, script, fn=revisions, destination_rev="head") as environment:
        environment.configure(connection=connection, transaction_per_migration=True, on_version_apply=tell_services)
        with environment.begin_transaction():
            environment.run_migrations()
    connection.commit()


def _is_lock_timeout(error: Exception) -> bool:
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    return isinstance(cause, asyncpg.LockNotAvailableError)
