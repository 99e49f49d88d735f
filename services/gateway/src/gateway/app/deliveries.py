"""Outgoing webhooks: queued with the event that they tell of, claimed, posted, judged. Never inside a transaction."""

import asyncio
import random
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from gateway.domain.deliveries import (
    FAILING_SECONDS_MAX,
    WAITING_SECONDS_MAX,
    Attempt,
    ClaimedDelivery,
    DeliveryState,
    DisabledReason,
    PostResult,
    RetrySchedule,
    TerminalEvent,
)
from gateway.domain.lanes import Lanes
from gateway.store import deliveries, endpoints
from poolkit.batching import Batcher
from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.ids import new_id
from poolkit.logs import of_request

log = structlog.get_logger(__name__)

# Beyond the longest an attempt may take, so that nobody else begins one while it runs.
CLAIM_SECONDS: Final = 30.0
SLOW_MS: Final = 2_000
POLL_SECONDS: Final = 1.0
TIMED_SECONDS_MAX: Final = 10.0
"""Retries due sooner are waited for to the moment; of the others there may be very many, and polls find them."""
LANES: Final = (512, 16, 256)
"""Attempts under way in all, to one endpoint, and to endpoints that fail or are slow taken together."""

_ATTEMPTS: Final = Counter("pools_webhook_out_attempts", "Webhooks posted to partners, by what came of it", ["outcome"])
_DISABLED: Final = Counter(
    "pools_webhook_endpoints_disabled", "Endpoints that their answers have disabled, by why", ["reason"]
)
# Seen at zero from the start: an alert on an increase would miss the first of a series that did not exist before.
for _reason in (DisabledReason.GONE, DisabledReason.FAILING):
    _DISABLED.labels(_reason.value)
_UNDER_WAY: Final = Gauge("pools_webhook_out_under_way", "Webhooks being posted now")

Post = Callable[[ClaimedDelivery], Awaitable[PostResult]]
"""Makes one attempt, within 10 seconds, and never raises."""


async def receive_terminal_events(database: Database, events: Sequence[TerminalEvent], schedule: RetrySchedule) -> None:
    """Stores each event once and queues it for its organization's endpoints, in one transaction. Safe to repeat."""
    async with database.transaction() as unit:
        new = await deliveries.insert_new_events(unit, events)
        told = [event for event in events if event.event_id in new and event.body]
        by_organization = await endpoints.endpoints_of(
            unit, sorted({event.organization_id for event in told}), waiting_seconds_max=WAITING_SECONDS_MAX
        )
        items = [
            (new_id("whd"), event.event_id, endpoint_id)
            for event in told
            for endpoint_id in by_organization.get(event.organization_id, ())
        ]
        await deliveries.queue_deliveries(unit, items, schedule.delays_seconds[0])
        await unit.commit()


class DeliverySender:
    """Posts what is due. Any number of replicas may run one: a delivery is claimed before it is posted."""

    def __init__(
        self,
        database: Database,
        post: Post,
        schedule: RetrySchedule,
        lanes: tuple[int, int, int] = LANES,
        failing_seconds_max: float = FAILING_SECONDS_MAX,
    ) -> None:
        self._database = database
        self._post = post
        self._schedule = schedule
        self._failing_seconds_max = failing_seconds_max
        self._lanes = Lanes(*lanes)
        self._wake = asyncio.Event()
        # Whether more may be due than there was room for, in all and for single endpoints.
        self._more = False
        self._waiting: set[str] = set()
        self._after = ""
        self._under_way: set[asyncio.Task[None]] = set()
        self._finish: Batcher[Attempt, None] = Batcher("delivery_attempts", self._write_finished)
        _UNDER_WAY.set_function(self._under_way.__len__)

    async def run(self) -> None:
        """Claims and posts until cancelled. Woken by a notification, by its own retries, and by a slow poll."""
        listener = await self._database.listen(deliveries.DUE_CHANNEL, self._notified)
        try:
            while True:
                self._wake.clear()
                try:
                    await self._claim_and_begin()
                except Unavailable:
                    log.warning("deliveries_wait_for_database")
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            listener.remove(deliveries.DUE_CHANNEL, self._notified)

    async def drain(self) -> None:
        """Returns when every attempt under way has ended and is recorded."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._finish.drain()

    def _notified(self, _payload: str) -> None:
        self._wake.set()

    async def _claim_and_begin(self) -> None:
        lanes = self._lanes
        # Half of the room at a time, so that an endpoint's share follows what is left of it.
        half = -(-lanes.wide_room // 2)
        full = await self._begin_some(half, lanes.each_max)
        if full and lanes.wide_room:
            self._wake.set()
        elif not lanes.wide_room and lanes.room:
            full = await self._begin_some(lanes.room, 1)
        self._more = full

    async def _begin_some(self, count_max: int, each_max: int) -> bool:
        """Claims and begins so many attempts, of each endpoint so many; True where there may be more."""
        lanes = self._lanes
        closed, narrow = lanes.closed(each_max), lanes.narrow()
        claimed = await self._claim(count_max, each_max, closed, narrow) if count_max else []
        counts = Counts(delivery.endpoint_id for delivery in claimed)
        many = {name for name, count in counts.items() if name in narrow or count >= each_max}
        self._waiting = many.union(closed)
        for delivery in claimed:
            lanes.begin(delivery.endpoint_id, slow=delivery.failing)
            task = asyncio.create_task(self._deliver(delivery), name=f"deliver {delivery.delivery_id}")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(claimed) >= count_max

    async def _claim(
        self, count_max: int, each_max: int, closed: list[str], narrow: list[str]
    ) -> list[ClaimedDelivery]:
        """What is due, from where the last claim that had no more room ended, and then from the beginning."""
        claimed: list[ClaimedDelivery] = []
        starts, self._after = dict.fromkeys((self._after, "")), ""
        for after in starts:
            part = await deliveries.claim_due(
                self._database,
                closed=[*closed, *{delivery.endpoint_id for delivery in claimed}],
                narrow=narrow,
                endpoint_max=each_max,
                count_max=count_max - len(claimed),
                failing_max=self._lanes.slow_room,
                claim_seconds=CLAIM_SECONDS,
                after=after,
            )
            claimed += part
            if len(claimed) >= count_max:
                self._after = max(delivery.endpoint_id for delivery in part)
                break
        return claimed

    async def _deliver(self, delivery: ClaimedDelivery) -> None:
        slow = True
        try:
            result = await self._post(delivery)
            slow = not result.succeeded or result.duration_ms > SLOW_MS
            attempt = self._schedule.judge(delivery, result, random.random())  # noqa: S311 - spreads, hides nothing
            _ATTEMPTS.labels(_outcome(attempt)).inc()
            await self._finish.submit(attempt)
            if attempt.state is DeliveryState.PENDING and attempt.retry_seconds <= TIMED_SECONDS_MAX:
                asyncio.get_running_loop().call_later(attempt.retry_seconds, self._wake.set)
            elif attempt.state is DeliveryState.DEAD:
                log.warning("delivery_given_up", endpoint_id=delivery.endpoint_id, **_named(delivery))
        except Unavailable:
            # Its claim runs out, and it is posted again: at least once, never not at all.
            log.warning("attempt_not_recorded", **_named(delivery))
        except Exception:
            log.exception("attempt_failed", **_named(delivery))
        finally:
            self._lanes.end(delivery.endpoint_id, slow=slow)
            if self._more or delivery.endpoint_id in self._waiting:
                self._wake.set()

    async def _write_finished(self, attempts: list[Attempt]) -> list[None]:
        disabled = await deliveries.finish_attempts(
            self._database, attempts, failing_seconds_max=self._failing_seconds_max
        )
        for endpoint in disabled:
            _DISABLED.labels(endpoint.reason.value).inc()
            log.warning(
                "webhook_endpoint_disabled",
                endpoint_id=endpoint.endpoint_id,
                organization_id=endpoint.organization_id,
                reason=endpoint.reason.value,
            )
        return [None] * len(attempts)


def _named(delivery: ClaimedDelivery) -> dict[str, str]:
    return {"delivery_id": delivery.delivery_id, **of_request(delivery.request_id, delivery.traceparent)}


def _outcome(attempt: Attempt) -> str:
    if attempt.state is DeliveryState.PENDING:
        return attempt.result.failure or f"{attempt.result.status_code // 100}xx"
    return attempt.state.value
