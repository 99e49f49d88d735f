"""Owns when webhooks are tried: at once after they were stored, again with growing pauses, and after any crash.

A lane is one kind of processing with one colleague. What this process stores it has claimed, and tries from memory;
everything else (retries, what a crash left, what came while the lane was full) is found in the database.
"""

import asyncio
import contextlib
import contextvars
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import structlog
from prometheus_client import Counter, Gauge

from poolkit.database import Database
from poolkit.errors import DomainError, Unavailable
from poolkit.logs import of_request
from webhook_ingest.domain.processing import EXCEPTION, RETRY, Ending, Retries, is_silence
from webhook_ingest.store import unprocessed
from webhook_ingest.store.unprocessed import Finish
from webhook_ingest.store.webhooks import StoredWebhook

POLL_SECONDS: Final = 0.5
MEASURE_SECONDS: Final = 5.0
WAITING_MAX: Final = 2048
PROBE_SIZE: Final = 8
"""How many are tried at a time while the colleague is silent: enough to notice its return, too few to matter."""

_ATTEMPTS: Final = Counter("pools_webhook_attempts", "Tries to process a webhook, by outcome", ["lane", "outcome"])
_WAITING: Final = Gauge("pools_webhooks_unprocessed", "Webhooks stored and not processed", ["lane", "state"])
_AGE: Final = Gauge("pools_webhooks_unprocessed_seconds", "Age of the oldest webhook not processed", ["lane"])

_log = structlog.get_logger("webhook_ingest.lanes")


class Process(Protocol):
    """What a lane does with webhooks."""

    async def __call__(self, webhooks: Sequence[StoredWebhook]) -> list[Finish]:
        """Tries each and says how it ended. Raises when it cannot be known; then nothing is known of any."""
        ...

    async def finish(self, finishes: Sequence[Finish], retries: Retries, elapsed_seconds: float) -> dict[str, str]:
        """Records the tries, with what belongs into the same transaction; answers as `unprocessed.finish` does."""
        ...


class Lane:
    """Tries the webhooks of one lane, at most `batch_max` together, one batch at a time."""

    def __init__(
        self,
        name: str,
        database: Database,
        process: Process,
        *,
        retries: Retries,
        claim_seconds: float,
        batch_max: int = 256,
    ) -> None:
        self.name = name
        self._database = database
        self._process = process
        self._retries = retries
        self._claim_seconds = claim_seconds
        self._batch_max = batch_max
        self._waiting: deque[tuple[float, StoredWebhook]] = deque()
        self._claim_limit = batch_max
        self._silent = False
        self._working: asyncio.Task[None] | None = None
        self._batch_ended = asyncio.Event()
        self._measured_at = float("-inf")
        self._watched: dict[str, asyncio.Future[None]] = {}
        # A series that begins with its first webhook shows no increase by it, and nobody would be told.
        _ATTEMPTS.labels(name, EXCEPTION)

    @property
    def room(self) -> int:
        """How many more webhooks this process should claim for itself; none while the colleague is silent."""
        return 0 if self._silent else WAITING_MAX - len(self._waiting)

    def offer(self, webhook: StoredWebhook) -> None:
        """Takes a webhook that this process has claimed, and begins at once if nothing is under way."""
        self._waiting.append((time.monotonic(), webhook))
        if self._working is None:
            # Whoever happens to be first must not lend its request id and trace to everyone's batch.
            self._working = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())

    @contextlib.contextmanager
    def watch(self, webhook_ids: Sequence[str]) -> Iterator[list[asyncio.Future[None]]]:
        """Futures that are done when this process has recorded a try of these webhooks, for the length of the block."""
        loop = asyncio.get_running_loop()
        watched = {webhook_id: loop.create_future() for webhook_id in webhook_ids}
        self._watched |= watched
        try:
            yield list(watched.values())
        finally:
            for webhook_id in watched:
                self._watched.pop(webhook_id, None)

    async def run(self) -> None:
        """Looks for webhooks that are due, until cancelled."""
        while True:
            more = False
            try:
                await self._measure()
                more = await self._claim()
            except Unavailable as error:
                _log.warning("webhooks_cannot_be_claimed", lane=self.name, error=repr(error.__cause__))
            if not more:
                await asyncio.sleep(POLL_SECONDS)

    async def drain(self) -> None:
        """Returns when the batch under way has ended; lets go of what has not begun."""
        waiting = [webhook for _, webhook in self._waiting]
        self._waiting.clear()
        if self._working is not None:
            await asyncio.wait({self._working})
        if waiting:
            await unprocessed.give_back(self._database, waiting)

    async def _claim(self) -> bool:
        """Claims what is due, beside what this process stores meanwhile; answers whether there may be more."""
        limit = self._claim_limit
        if len(self._waiting) >= self._batch_max:
            await self._batch_to_end()
            return True
        claimed = await unprocessed.claim(self._database, self.name, limit, self._claim_seconds)
        for webhook in claimed:
            self.offer(webhook)
        if claimed:
            await self._batch_to_end()
        return len(claimed) >= limit and not self._silent

    async def _batch_to_end(self) -> None:
        self._batch_ended.clear()
        if self._working is not None:
            await self._batch_ended.wait()

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                if batch:
                    await self._try(batch)
                self._batch_ended.set()
        finally:
            self._working = None
            self._batch_ended.set()

    def _take(self) -> list[StoredWebhook]:
        """The next batch, without what has waited so long that others may have claimed it."""
        batch: list[StoredWebhook] = []
        begun_by = time.monotonic() - self._claim_seconds / 2
        while self._waiting and len(batch) < self._batch_max:
            claimed_at, webhook = self._waiting.popleft()
            if claimed_at > begun_by:
                batch.append(webhook)
        return batch

    async def _try(self, batch: Sequence[StoredWebhook]) -> None:
        started = time.monotonic()
        finishes = await self._outcomes(batch)
        try:
            ended = await self._process.finish(finishes, self._retries, time.monotonic() - started)
        except Exception as error:
            # The claims run out, and whatever took effect is tried again, which changes nothing.
            _log.warning("webhook_attempts_not_recorded", lane=self.name, webhooks=len(batch), exc_info=error)
            return
        self._tell(finishes, ended)

    async def _outcomes(self, batch: Sequence[StoredWebhook]) -> list[Finish]:
        """How each ended. A batch that fails as a whole is split until the one at fault stands alone."""
        try:
            finishes = await self._process(batch)
        except Exception as error:
            if is_silence(error):
                await self._pause()
                return _retried(batch, error, refused=False)
            if len(batch) == 1:
                _log.warning("webhook_failed", lane=self.name, exc_info=error, **_named(batch[0]))
                return _retried(batch, error, refused=True)
            half = len(batch) // 2
            return [*await self._outcomes(batch[:half]), *await self._outcomes(batch[half:])]
        self._silent = False
        self._claim_limit = min(self._batch_max, self._claim_limit * 4)
        return finishes

    async def _pause(self) -> None:
        """The colleague is silent: what has not begun goes back, and only a few are tried until it answers."""
        if not self._silent:
            _log.warning("webhooks_wait_for_a_colleague", lane=self.name)
        self._silent = True
        self._claim_limit = PROBE_SIZE
        waiting = [webhook for _, webhook in self._waiting]
        self._waiting.clear()
        if waiting:
            try:
                await unprocessed.give_back(self._database, waiting)
            except Unavailable:
                # Then their claims run out by themselves.
                return

    def _tell(self, finishes: Sequence[Finish], ended: dict[str, str]) -> None:
        for finish in finishes:
            outcome = ended.get(finish.webhook.webhook_id, "overtaken")
            watched = self._watched.pop(finish.webhook.webhook_id, None)
            if watched is not None and not watched.done():
                watched.set_result(None)
            _ATTEMPTS.labels(self.name, outcome).inc()
            if outcome == EXCEPTION:
                _log.warning(
                    "webhook_given_up",
                    source=finish.webhook.source,
                    kind=finish.webhook.event.kind,
                    attempts=finish.webhook.attempt_number,
                    detail=finish.ending.detail,
                    **_named(finish.webhook),
                )

    async def _measure(self) -> None:
        if time.monotonic() - self._measured_at < MEASURE_SECONDS:
            return
        self._measured_at = time.monotonic()
        backlog = await unprocessed.measure(self._database, self.name)
        _WAITING.labels(self.name, "waiting").set(backlog.waiting)
        _WAITING.labels(self.name, "exception").set(backlog.exceptions)
        _AGE.labels(self.name).set(backlog.seconds)


def _named(webhook: StoredWebhook) -> dict[str, str]:
    return {"webhook_id": webhook.webhook_id, **of_request(webhook.request_id, webhook.traceparent)}


def _retried(batch: Sequence[StoredWebhook], error: Exception, *, refused: bool) -> list[Finish]:
    # Never the text of what was not expected: it may hold what must not be kept.
    detail = error.message if isinstance(error, DomainError) else f"It failed unexpectedly ({type(error).__name__})."
    ending = Ending(RETRY, detail=detail, refused=refused)
    return [Finish(webhook, ending, webhook.traceparent) for webhook in batch]
