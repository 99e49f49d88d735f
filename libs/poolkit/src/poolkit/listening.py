"""Owns hearing PostgreSQL's notifications: one connection of its own, opened again whenever it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import structlog
from asyncpg import Record

OnNotification = Callable[[str], None]

RECONNECT_SECONDS = 0.5

_log = structlog.get_logger("poolkit.listening")


class Listener:
    """Hears every channel of one database on one connection.

    Notifications sent while the connection was down are lost, so after each (re)connection every callback is called
    once with "". A callback must be quick and must not raise: it sets an event, someone else does the work. A listener
    is a hint, never the only way to find work: whoever listens also looks by itself now and then.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection[Record]]]) -> None:
        self._connect = connect
        self._callbacks: dict[str, list[OnNotification]] = {}
        self._changed = asyncio.Event()
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether notifications are heard now."""
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Returns once every channel is heard."""
        await self._connected.wait()

    def add(self, channel: str, callback: OnNotification) -> None:
        """Hears one more channel; the callback comes once with "" when it is heard."""
        self._callbacks.setdefault(channel, []).append(callback)
        self._connected.clear()
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="database-listener")

    def remove(self, channel: str, callback: OnNotification) -> None:
        """Stops calling back; the channel stays open until the connection closes."""
        self._callbacks[channel].remove(callback)

    async def close(self) -> None:
        """Closes the connection for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._hear_until_lost()
                _log.warning("listening connection lost")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                _log.warning("listening connection failed", error=repr(exc))
            self._connected.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear_until_lost(self) -> None:
        driver = await self._connect()
        try:
            # Losing the connection sets the same event as a new channel does: both mean "look again".
            driver.add_termination_listener(lambda _connection: self._changed.set())
            heard: set[str] = set()
            while not driver.is_closed():
                self._changed.clear()
                for channel in self._callbacks.keys() - heard:
                    await driver.add_listener(channel, self._notified)
                    heard.add(channel)
                    self._call(channel, "")
                if self._callbacks.keys() <= heard:
                    self._connected.set()
                await self._changed.wait()
        finally:
            self._connected.clear()
            driver.terminate()

    def _notified(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._call(channel, str(payload))

    def _call(self, channel: str, payload: str) -> None:
        for callback in self._callbacks[channel]:
            callback(payload)
