"""Background loops of a service: kept running until told to stop, whatever happens to them meanwhile."""

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from poolkit.telemetry.metrics import LOOP_RESTARTS

BACKOFF_SECONDS_FIRST: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 5.0
# A loop that ran this long before it crashed starts over with the first backoff.
HEALTHY_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


def is_being_cancelled() -> bool:
    """Whether someone wants this task to end: libraries let cancellations of their own tasks out to their callers."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _supervise(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    backoff_seconds = BACKOFF_SECONDS_FIRST
    while True:
        started = clock()
        try:
            await loop()
        except (Exception, asyncio.CancelledError) as exc:
            if isinstance(exc, asyncio.CancelledError) and is_being_cancelled():
                raise
            LOOP_RESTARTS.labels(name).inc()
            if clock() - started > HEALTHY_SECONDS:
                backoff_seconds = BACKOFF_SECONDS_FIRST
            log.exception("loop_crashed", loop=name, restart_in_seconds=round(backoff_seconds, 2))
        else:
            log.info("loop_ended", loop=name)
            return
        # Jitter, so that replicas that crashed together do not come back together.
        await asyncio.sleep(backoff_seconds * random.uniform(0.5, 1.0))  # noqa: S311
        backoff_seconds = min(backoff_seconds * 2, BACKOFF_SECONDS_MAX)


class Loops:
    """The loops of one service. A crash is logged and the loop begun again; one that returns has ended."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Registers a loop; it begins with `start`."""
        # Seen at zero from the start: an alert on an increase would miss the first of a series that was not there.
        LOOP_RESTARTS.labels(name)
        self._waiting.append((name, loop))

    def start(self) -> None:
        """Begins every loop, each in an empty context: none may inherit a request id, a trace or a deadline."""
        for name, loop in self._waiting:
            task = asyncio.get_running_loop().create_task(
                _supervise(name, loop), name=f"loop {name}", context=contextvars.Context()
            )
            self._tasks.add(task)
        self._waiting.clear()

    async def stop(self, seconds_max: float) -> None:
        """Cancels every loop and waits for them to end, for at most `seconds_max`."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds_max)
            for task in late:
                log.warning("loop_did_not_stop", loop=task.get_name())
        self._tasks.clear()
