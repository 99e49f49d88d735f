"""Owns a service's open connections to PostgreSQL: opened through SQLAlchemy, kept here, one user at a time each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import asyncpg
from asyncpg import Record
from prometheus_client import Gauge
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from poolkit.database_errors import reraise
from poolkit.errors import Unavailable

_CONNECTIONS = Gauge("pools_database_connections", "Connections to the database, by state", ["state"])
_WAITING = Gauge("pools_database_waiting_statements", "Statements that wait for a connection to be free")

CONNECT_SECONDS_MAX = 5.0
CLOSE_SECONDS_MAX = 2.0


def plain_url(url: str) -> str:
    """The same URL as libpq and asyncpg spell it, without SQLAlchemy's driver suffix."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


class Slot:
    """One open connection: the driver's own, for statements, and SQLAlchemy's wrapping of it, for Core queries."""

    __slots__ = ("driver", "wrapped")

    def __init__(self, wrapped: PoolProxiedConnection) -> None:
        self.driver: asyncpg.Connection[Record] = wrapped.driver_connection
        # From here on the connection is ours to keep and to close.
        wrapped.detach()
        self.wrapped = wrapped


class ConnectionPool:
    """At most `size` connections, the most recently used first, so that few stay warm when there is little to do.

    SQLAlchemy's own pool would do the same for more CPU than the statement itself takes (Source: ADR 2). Every
    connection is AUTOCOMMIT and comes back outside a transaction, so there is nothing to reset.
    """

    def __init__(
        self, url: str, *, size: int, wait_seconds_max: float, command_seconds_max: float, settings: Mapping[str, str]
    ) -> None:
        self._url = plain_url(url)
        self._size = size
        self._wait_seconds_max = wait_seconds_max
        self._command_seconds_max = command_seconds_max
        self._settings = dict(settings)
        self._open = 0
        self._idle: list[Slot] = []
        self._waiters: deque[asyncio.Future[Slot | None]] = deque()
        self._closed = False
        _CONNECTIONS.labels("open").set_function(lambda: self._open)
        _CONNECTIONS.labels("idle").set_function(lambda: len(self._idle))
        _WAITING.set_function(lambda: len(self._waiters))
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect_driver,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            pool_reset_on_return=None,
            # Errors go to the log; what a statement was given must not.
            hide_parameters=True,
        )

    async def connect_driver(self, *_args: Any, **_kwargs: Any) -> asyncpg.Connection[Record]:
        """A connection outside the pool, whose user closes it."""
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=self._command_seconds_max,
            server_settings=self._settings,
            max_cacheable_statement_size=65_536,
        )

    async def take(self) -> Slot:
        """A connection, to be given back. Raises Unavailable when none can be opened, or none comes free in time."""
        idle = self._idle
        while idle:
            slot = idle.pop()
            if not slot.driver.is_closed():
                return slot
            self._open -= 1
        while not self._closed:
            if self._open < self._size:
                return await self._open_slot()
            slot_or_right_to_open = await self._wait()
            if slot_or_right_to_open is not None:
                return slot_or_right_to_open
        raise Unavailable

    def give_back(self, slot: Slot) -> None:
        """Hands the connection to who has waited longest, or keeps it for the next; forgets it when it is closed."""
        if self._closed or slot.driver.is_closed():
            slot.driver.terminate()
            self._open -= 1
            self._wake(None)
        elif not self._wake(slot):
            self._idle.append(slot)

    async def close(self) -> None:
        """Closes what is idle; what is in use closes when it comes back."""
        self._closed = True
        while self._idle:
            slot = self._idle.pop()
            self._open -= 1
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await slot.driver.close(timeout=CLOSE_SECONDS_MAX)
        while self._wake(None):
            pass
        await self.engine.dispose()

    async def _open_slot(self) -> Slot:
        self._open += 1
        try:
            return Slot(await self.engine.raw_connection())
        except BaseException as exc:
            self._open -= 1
            self._wake(None)
            if isinstance(exc, Exception):
                reraise(exc, None)
            raise

    async def _wait(self) -> Slot | None:
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                return await waiter
        except BaseException as exc:
            if waiter.done() and not waiter.cancelled():
                # It was handed over in the very moment its user gave up: pass it on.
                slot = waiter.result()
                self._wake(None) if slot is None else self.give_back(slot)
            if isinstance(exc, TimeoutError):
                raise Unavailable from exc
            raise

    def _wake(self, slot: Slot | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(slot)
                return True
        return False
