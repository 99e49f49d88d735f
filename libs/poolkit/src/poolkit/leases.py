"""Owns leases: of several replicas, exactly one runs a loop, for as long as it can tell the database that it lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from poolkit.database import Database
from poolkit.errors import Unavailable

DDL: Final = """
CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    fencing    bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
"""
"""For a service's migration that brings its first lease."""

_ACQUIRE = """
INSERT INTO leases AS held (name, holder, fencing, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, fencing = held.fencing + 1, expires_at = excluded.expires_at
    WHERE held.expires_at < clock_timestamp()
RETURNING fencing
"""
# One that ran out but that nobody took meanwhile may be renewed: nobody else has worked under it.
_RENEW = """
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE name = $1 AND fencing = $2 RETURNING fencing
"""
# The row stays, or the fencing number would start again.
_RELEASE = "UPDATE leases SET expires_at = '-infinity' WHERE name = $1 AND fencing = $2"

_log = structlog.get_logger("poolkit.leases")


def grants(role: str) -> str:
    """What a runtime role that takes leases needs."""
    return f"GRANT SELECT, INSERT, UPDATE ON leases TO {role};"


class Lease:
    """The right to be the only one, until it is lost.

    `fencing` grows with each holder. The loop is cancelled before another replica can take over, by this process's
    own clock; whoever must be certain even through a stopped process checks `fencing` in its own transactions.
    """

    def __init__(self, database: Database, name: str, ttl_seconds: float = 5.0) -> None:
        self.name = name
        self.fencing = 0
        self._database = database
        self._ttl_seconds = ttl_seconds
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._held_until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lease, by its own clock, which stops believing before the database does."""
        return time.monotonic() < self._held_until

    async def run(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs the loop whenever the lease is held; cancels it when the lease is lost, and tries again.

        Returns when the loop returns by itself, raises what it raises. Cancel it to stop; the lease is then released.
        """
        while True:
            await self._acquire()
            _log.info("lease acquired", lease=self.name, fencing=self.fencing)
            work = asyncio.ensure_future(loop())
            renewals = asyncio.create_task(self._renew_until_lost(), name=f"lease-{self.name}")
            try:
                await asyncio.wait({work, renewals}, return_when=asyncio.FIRST_COMPLETED)
                if work.cancelled():
                    # Not by us. Passed on, it would look as if someone wanted the whole service part to end.
                    raise RuntimeError(f"the loop under lease {self.name} was cancelled from within")
                if work.done():
                    return await work
                _log.warning("lease lost", lease=self.name, fencing=self.fencing)
            finally:
                await _end(work)
                await _end(renewals)
                await self._release()

    async def _acquire(self) -> None:
        # Asking is the only way to learn that a holder died without a word.
        while not await self._try_to_acquire():  # noqa: ASYNC110
            await asyncio.sleep(self._ttl_seconds / 5)

    async def _try_to_acquire(self) -> bool:
        asked_at = time.monotonic()
        try:
            fencing = await self._database.fetch_value(_ACQUIRE, self.name, self._holder, self._ttl_seconds)
        except Unavailable:
            return False
        if fencing is None:
            return False
        self.fencing = fencing
        self._held_until = asked_at + self._ttl_seconds
        return True

    async def _renew_until_lost(self) -> None:
        """Returns when the lease is no longer ours, or when it will have run out before we could know."""
        interval = self._ttl_seconds / 4
        while True:
            await asyncio.sleep(interval)
            asked_at = time.monotonic()
            try:
                # A quarter of the time is kept back for the loop to end before anyone else may begin.
                async with asyncio.timeout(max(0.0, self._held_until - asked_at - interval)):
                    renewed = await self._database.fetch_value(_RENEW, self.name, self.fencing, self._ttl_seconds)
            except TimeoutError:
                return
            except Unavailable:
                if time.monotonic() + interval >= self._held_until - interval:
                    return
                continue
            if renewed is None:
                return
            self._held_until = asked_at + self._ttl_seconds

    async def _release(self) -> None:
        self._held_until = 0.0
        with contextlib.suppress(Unavailable, TimeoutError):
            # Whoever stops us may be in a hurry; unreleased, the lease runs out by itself.
            async with asyncio.timeout(1.0):
                await self._database.execute(_RELEASE, self.name, self.fencing)


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    # Not `await task`: that could not tell the task's cancellation from our own.
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("ended with an error", error=repr(error))
