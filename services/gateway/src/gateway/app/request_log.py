"""The request log's way to the database: rows gather in memory and are written in batches, off every caller's path."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.app.call import Call
from poolkit.errors import Unavailable

log = structlog.get_logger(__name__)

BATCH_SIZE_MAX: Final = 1_000
# Larger batches cost less a row; a search for a call made this long ago may still miss it.
GATHER_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 0.5
REFUSALS_MAX: Final = 3
"""Tries of one row that the database refuses, before it is given up so that the others get past it."""
QUEUE_MAX: Final = 50_000

_LOST: Final = Counter("pools_request_log_lost_rows", "Calls that could not be logged because the queue was full")

Write = Callable[[Sequence[Call], int], Awaitable[None]]
"""Stores calls. The number is the first one's, counted since the process began: a repeat stores nothing twice."""


class RequestLog:
    """A bounded queue with one writer. What was appended is durable once `drain` has returned.

    The database out of reach: rows wait, up to the bound, and are written when it is back. Beyond the bound the newest
    are counted as lost rather than the memory of the process.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._rows: list[Call] = []
        self._written = 0
        self._size = BATCH_SIZE_MAX
        self._refusals = 0
        self._wake = asyncio.Event()
        self._draining = False

    def append(self, call: Call) -> None:
        """Takes the row of a call that has ended. Never waits, never raises."""
        if len(self._rows) >= QUEUE_MAX:
            _LOST.inc()
            return
        self._rows.append(call)
        if not self._wake.is_set():
            self._wake.set()

    async def run(self) -> None:
        """Writes until cancelled; a batch that cannot be written is tried again."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            await self._flush()

    async def drain(self, seconds_max: float = 5.0) -> None:
        """Writes what is left. Call it when no more calls are served and `run` has ended."""
        try:
            async with asyncio.timeout(seconds_max):
                while self._rows:
                    await self._flush()
        except TimeoutError:
            log.error("request_log_not_flushed", rows=len(self._rows))

    async def _flush(self) -> None:
        self._wake.clear()
        while self._rows:
            batch = self._rows[: self._size]
            try:
                await self._write(batch, self._written)
            except Unavailable:
                log.warning("request_log_waits", rows=len(self._rows))
                await self._later()
                return
            except Exception:
                log.exception("request_log_refused", rows=len(batch))
                if len(batch) > 1 or self._refusals < REFUSALS_MAX:
                    # Half of it next time, until the row that cannot be written stands alone.
                    self._refusals += len(batch) == 1
                    self._size = max(1, len(batch) // 2)
                    await self._later()
                    return
                _LOST.inc()
            else:
                self._size = min(BATCH_SIZE_MAX, self._size * 2)
            self._refusals = 0
            del self._rows[: len(batch)]
            self._written += len(batch)

    async def _later(self) -> None:
        self._wake.set()
        await asyncio.sleep(RETRY_SECONDS)
