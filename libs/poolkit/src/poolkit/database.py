"""Owns how services talk to PostgreSQL: single statements, transactions, notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
from asyncpg import Record
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from poolkit.connection_pool import CLOSE_SECONDS_MAX, ConnectionPool, Slot, plain_url
from poolkit.database_errors import Contended, reraise
from poolkit.errors import Unavailable
from poolkit.listening import Listener, OnNotification

__all__ = ["Contended", "Database", "Listener", "Record", "Unit", "plain_url"]

# Hot statements look a handful of keys up. Planned while a table is young, reading all of it looks cheap, and a kept
# plan goes on reading all of it while the table grows, until statistics are next taken: 30 times slower at 100,000
# rows. So plans go by index. `Unit.plan_for_report` is for what does read whole tables. (Source: ADR 4)
_PLAN_BY_INDEX: Final = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
_PLAN_FOR_REPORT: Final = (
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;"
    "SET LOCAL plan_cache_mode = force_custom_plan"
)


class Database:
    """A service's own database.

    SQLAlchemy's engine opens the connections and serves Core queries (`Unit.connection`); everything on a hot path
    goes straight to the driver with `$1` placeholders and arrays, which costs a fraction of the CPU
    (Source: ADR 2). Connections are AUTOCOMMIT: a single statement is one transaction and one round trip.

    A lost connection or a database out of reach raises `Unavailable`; a deadlock, lock timeout or statement timeout
    raises `Contended`, a kind of `Unavailable` after which nothing has happened. Other errors are the driver's own.
    """

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        pool_size: int = 8,
        statement_timeout_ms: int = 10_000,
        idle_in_transaction_timeout_ms: int = 10_000,
        wait_seconds_max: float = 5.0,
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._pool = ConnectionPool(
            url,
            size=pool_size,
            wait_seconds_max=wait_seconds_max,
            # The server's own timeout comes first; this one is for a server that has stopped answering at all.
            command_seconds_max=statement_timeout_ms / 1000 + 2.0,
            settings={
                "application_name": application_name,
                "statement_timeout": str(statement_timeout_ms),
                "idle_in_transaction_session_timeout": str(idle_in_transaction_timeout_ms),
                "timezone": "UTC",
                # The planner guesses how long arrays are; a wrong guess must not buy 50 ms of compilation.
                "jit": "off",
                **_PLAN_BY_INDEX,
                **(server_settings or {}),
            },
        )
        self._listener: Listener | None = None

    @property
    def engine(self) -> AsyncEngine:
        """SQLAlchemy's engine, AUTOCOMMIT. Services use `transaction()` and `Unit.connection`."""
        return self._pool.engine

    async def connect(self) -> None:
        """Opens the first connection, so that a wrong URL shows at the start. Raises Unavailable."""
        self._pool.give_back(await self._pool.take())

    async def close(self) -> None:
        """Closes every connection that is not in use; those in use close when they come back."""
        if self._listener is not None:
            await self._listener.close()
        await self._pool.close()

    async def is_ready(self, seconds_max: float = 2.0) -> bool:
        """Whether a statement gets through now."""
        try:
            async with asyncio.timeout(seconds_max):
                return bool(await self.fetch_value("SELECT true"))
        except (Unavailable, TimeoutError):
            return False

    def transaction(self) -> Unit:
        """`async with db.transaction() as unit:`; rolls back unless `unit.commit()` was awaited."""
        return Unit(self._pool)

    async def listen(self, channel: str, callback: OnNotification) -> Listener:
        """Calls back with each payload of the channel, and with "" whenever some may have been missed."""
        if self._listener is None:
            self._listener = Listener(self._pool.connect_driver)
        self._listener.add(channel, callback)
        return self._listener

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """All rows of one statement, which commits by itself (also an INSERT … RETURNING)."""
        slot = await self._pool.take()
        try:
            rows: list[Record] = await slot.driver.fetch(sql, *args)
        except Exception as exc:
            reraise(exc, slot.driver)
        finally:
            self._pool.give_back(slot)
        return rows

    async def fetch_row(self, sql: str, *args: Any) -> Record | None:
        """The first row, or None."""
        rows = await self.fetch(sql, *args)
        return rows[0] if rows else None

    async def fetch_value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        rows = await self.fetch(sql, *args)
        return rows[0][0] if rows else None

    async def execute(self, sql: str, *args: Any) -> str:
        """Runs one statement and answers its command tag, such as "UPDATE 3"."""
        slot = await self._pool.take()
        try:
            tag: str = await slot.driver.execute(sql, *args)
        except Exception as exc:
            reraise(exc, slot.driver)
        finally:
            self._pool.give_back(slot)
        return tag


class Unit:
    """One transaction. Rolls back unless `commit()` was awaited; not for use by two tasks at once."""

    __slots__ = ("_committed", "_connection", "_driver", "_pool", "_slot")

    _slot: Slot
    _driver: asyncpg.Connection[Record]

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AsyncConnection | None = None
        self._committed = False

    async def __aenter__(self) -> Self:
        self._slot = slot = await self._pool.take()
        self._driver = driver = slot.driver
        try:
            await driver.execute("BEGIN")
        except BaseException as exc:
            # Begun or not: nobody knows, so nobody gets this connection.
            driver.terminate()
            self._pool.give_back(slot)
            if isinstance(exc, Exception):
                reraise(exc, driver)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not self._committed:
                await self._roll_back()
        finally:
            self._pool.give_back(self._slot)
        if isinstance(exc, DBAPIError):
            reraise(exc, self._driver)

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """All rows of one statement in this transaction."""
        try:
            rows: list[Record] = await self._driver.fetch(sql, *args)
        except Exception as exc:
            reraise(exc, self._driver)
        return rows

    async def fetch_row(self, sql: str, *args: Any) -> Record | None:
        """The first row, or None."""
        rows = await self.fetch(sql, *args)
        return rows[0] if rows else None

    async def fetch_value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        rows = await self.fetch(sql, *args)
        return rows[0][0] if rows else None

    async def execute(self, sql: str, *args: Any) -> str:
        """Runs one statement and answers its command tag, such as "UPDATE 3"."""
        try:
            tag: str = await self._driver.execute(sql, *args)
        except Exception as exc:
            reraise(exc, self._driver)
        return tag

    async def commit(self) -> None:
        """Commits. When it raises `Unavailable` the outcome is unknown; when `Contended`, nothing has happened."""
        if await self.execute("COMMIT") != "COMMIT":
            # PostgreSQL answers ROLLBACK, and no error, to the COMMIT of a transaction in which a statement failed.
            raise RuntimeError("commit() after a failed statement: the transaction was rolled back")
        self._committed = True

    async def plan_for_report(self) -> None:
        """From here to the end of the transaction, statements may read whole tables and hash them, planned afresh."""
        await self.execute(_PLAN_FOR_REPORT)

    @property
    def connection(self) -> AsyncConnection:
        """SQLAlchemy Core on the same transaction, for queries off the hot path. Neither commit nor close it."""
        if self._connection is None:
            engine = self._pool.engine
            self._connection = AsyncConnection(engine, Connection(engine.sync_engine, connection=self._slot.wrapped))
        return self._connection

    async def _roll_back(self) -> None:
        driver = self._driver
        try:
            if not driver.is_closed():
                await driver.execute("ROLLBACK", timeout=CLOSE_SECONDS_MAX)
        except BaseException as exc:
            # Unknown state: a connection that may still be inside a transaction is never given out again.
            driver.terminate()
            if not isinstance(exc, Exception):
                raise
