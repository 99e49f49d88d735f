"""Whether a service can take work: what it needs is asked every second, and health tells the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from poolkit.rpc.health import Health
from poolkit.telemetry.metrics import SERVICE_READY

Check = Callable[[], Awaitable[bool]]

INTERVAL_SECONDS: Final = 1.0
UNREADY_INTERVAL_SECONDS: Final = 0.2
CHECK_SECONDS_MAX: Final = 2.5
# One failed look may be a slow moment; two in a row take the service out of rotation.
FAILURES_MAX: Final = 2

log = structlog.get_logger(__name__)


class Readiness:
    """The checks of one service, and the health they decide."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._checks: dict[str, Check] = {}
        self._failures: dict[str, int] = {}
        self._draining = False

    def add(self, name: str, check: Check) -> None:
        """Registers what must answer True for the service to be ready."""
        self._checks[name] = check
        # Out of reach until it has answered once.
        self._failures[name] = FAILURES_MAX

    async def run(self) -> None:
        """Checks for as long as it is not cancelled."""
        while True:
            await self.look()
            # Coming back is noticed sooner than going away, so that a start or a repair costs no waiting.
            await asyncio.sleep(INTERVAL_SECONDS if self._health.serving else UNREADY_INTERVAL_SECONDS)

    async def look(self) -> None:
        """Asks every check once and sets health accordingly."""
        names = list(self._checks)
        answers = await asyncio.gather(*(_answer(self._checks[name]) for name in names))
        for name, ready in zip(names, answers, strict=True):
            self._note(name, ready)
            self._health.set_dependency(name, reached=self._failures[name] < FAILURES_MAX)
        serving = not self._draining and all(failures < FAILURES_MAX for failures in self._failures.values())
        if serving != self._health.serving:
            if serving:
                log.info("service_ready")
            self._health.set_serving(serving)

    def _note(self, name: str, ready: bool) -> None:
        before = self._failures[name]
        self._failures[name] = 0 if ready else before + 1
        if not ready and self._failures[name] == FAILURES_MAX:
            log.warning("service_not_ready", dependency=name)
        elif ready and before >= FAILURES_MAX:
            log.info("dependency_in_reach", dependency=name)
        SERVICE_READY.labels(name).set(self._failures[name] < FAILURES_MAX)

    async def drain(self) -> None:
        """Not ready any more, for good."""
        self._draining = True
        self._health.leave()


async def _answer(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return bool(await check())
    except Exception:
        # Whatever a check raises, it is no yes.
        return False
