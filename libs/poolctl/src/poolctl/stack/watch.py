"""Owns noticing that a part died, saying so, and starting it again when that is wanted."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from poolctl.stack.failure import StackError
from poolctl.stack.parts import Part

_LOOK_EVERY_SECONDS = 0.2
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
# A part that lived this long and dies has a new reason to, so it is started again without waiting long.
_HEALTHY_SECONDS = 30.0


class Watch:
    """Looks after the parts that are expected to live."""

    def __init__(
        self, *, restart: bool, say: Callable[[str, str], None], start: Callable[[Part], Awaitable[None]]
    ) -> None:
        self._restart = restart
        self._say = say
        self._start = start
        self._expected: dict[str, tuple[Part, float]] = {}
        self._deaths: dict[str, int] = {}
        self._restarts: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    def expect(self, part: Part) -> None:
        """From now on the part is expected to live."""
        self._expected[part.name] = (part, time.monotonic())

    async def forget(self, name: str) -> None:
        """The part is about to be stopped or started by whoever calls; a restart of ours under way is given up."""
        self._expected.pop(name, None)
        restart = self._restarts.pop(name, None)
        if restart is not None:
            restart.cancel()
            await asyncio.gather(restart, return_exceptions=True)

    def begin(self) -> None:
        self._looking = asyncio.create_task(self._look(), name="watch")

    async def end(self) -> None:
        self._expected.clear()
        tasks = [task for task in (self._looking, *self._restarts.values()) if task is not None]
        self._restarts.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            for name, (part, since) in list(self._expected.items()):
                if not part.process.running:
                    del self._expected[name]
                    self._died(part, lived_seconds=time.monotonic() - since)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _died(self, part: Part, *, lived_seconds: float) -> None:
        if not self._restart:
            self._say(part.name, f"{part.process.exit_status}; it is not started again")
            return
        deaths = 0 if lived_seconds > _HEALTHY_SECONDS else self._deaths.get(part.name, 0)
        self._deaths[part.name] = deaths + 1
        wait = _BACKOFF_SECONDS[min(deaths, len(_BACKOFF_SECONDS) - 1)]
        self._say(part.name, f"{part.process.exit_status}; starting it again in {wait} s")
        self._restarts[part.name] = asyncio.create_task(self._start_again(part, wait), name=f"restart {part.name}")

    async def _start_again(self, part: Part, wait: float) -> None:
        await asyncio.sleep(wait)
        try:
            await self._start(part)
        except StackError as failure:
            self._say(part.name, failure.what)
            self._restarts.pop(part.name, None)
            self._died(part, lived_seconds=0.0)
        else:
            self._restarts.pop(part.name, None)
