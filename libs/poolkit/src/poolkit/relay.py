"""Owns the way from the outbox to the broker: everything appended is sent, in its order, at least once, soon."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge

from poolkit import crashpoints
from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.kafka import Message, Producer, topic
from poolkit.leases import Lease
from poolkit.outbox import CHANNEL, COLUMNS, Row
from poolkit.telemetry.traceparent import is_sampled
from poolkit.telemetry.tracing import span

# One round trip marks what was sent and reads what is next. A mark that a crash loses costs a second sending, which
# consumers tell by the event id: so it need not wait for the disk, and leaves the disk to those who must.
_MARK_AND_NEXT = f"""
WITH marked AS (
    UPDATE outbox SET published_at = clock_timestamp()
    FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
    WHERE sequence = ANY ($1::bigint[])
)
SELECT sequence, {COLUMNS} FROM outbox
WHERE published_at IS NULL AND sequence <> ALL ($1::bigint[])
ORDER BY sequence LIMIT $2
"""  # noqa: S608 - constants only

_LAG = """
SELECT count(*) AS events, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS seconds
FROM outbox WHERE published_at IS NULL
"""

_PUBLISHED = Counter("pools_outbox_published_events", "Events sent and acknowledged", ["topic"])
_UNPUBLISHED = Gauge("pools_outbox_lag_events", "Events appended and not yet sent")
_UNPUBLISHED_AGE = Gauge("pools_outbox_lag_seconds", "Age of the oldest event not yet sent")

SENT: Final = crashpoints.declare("outbox.sent", "events that the broker has and that are not marked")

POLL_SECONDS = 1.0
# What was sent is marked with the next reading, at the latest after this long: half the statements under load.
MARK_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 5.0
MEASURE_SECONDS = 5.0

_log = structlog.get_logger("poolkit.relay")


class Lag(NamedTuple):
    """What is appended and not yet sent."""

    events: int
    seconds: float
    """Age of the oldest."""


class Relay:
    """Sends what is appended, in the order of its sequence, and marks it once the broker has it on every replica.

    Whoever holds the lease relays. What its own process appends is handed over, and sent without reading it back; what
    others append is read, when a notification tells of it, with a look every second behind it. An event may be sent
    twice (a crash between sending and marking), never zero times. What cannot be sent stays and is tried again and
    again, loudly.
    """

    def __init__(
        self, database: Database, producer: Producer, lease: Lease, mode: str, *, batch_max: int = 1000
    ) -> None:
        self._database = database
        self._producer = producer
        self._lease = lease
        self._mode = mode
        self._batch_max = batch_max
        self._wake = asyncio.Event()
        self._notified = False
        self._handed: list[Row] = []
        self._sent: set[int] = set()
        self._caught_up = False
        self._read_at = 0.0
        self._gathering: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Relays whenever the lease is held, until cancelled."""
        await self._lease.run(self._relay)

    @property
    def takes_over(self) -> bool:
        """Whether it sends what it is handed; an append needs no notification, which costs each commit a lock."""
        return self._caught_up and self._lease.is_held

    def hand_over(self, rows: Sequence[Row], *, gather_seconds: float = 0.0) -> None:
        """Takes what this process has committed. What it does not take, or loses with the process, is read later.

        With `gather_seconds` it may wait that long for more, and leaves at once with what may not (ADR 14).
        """
        if not rows or not self.takes_over:
            return
        if len(self._handed) < self._batch_max:
            self._handed += rows
        else:
            self._caught_up = False
            gather_seconds = 0.0
        if not gather_seconds:
            self._wake.set()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(gather_seconds, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._wake.set()

    async def measure(self) -> None:
        """Keeps the metrics true until cancelled, in every replica: a lag grows above all while nobody relays."""
        while True:
            # Out of reach, the lag that is known stays; readiness tells of it.
            with contextlib.suppress(Unavailable):
                await self.lag()
            await asyncio.sleep(MEASURE_SECONDS)

    async def lag(self) -> Lag:
        """Measures now, and sets the metrics."""
        row = await self._database.fetch_row(_LAG)
        lag = Lag(row["events"], row["seconds"]) if row else Lag(0, 0.0)
        _UNPUBLISHED.set(lag.events)
        _UNPUBLISHED_AGE.set(lag.seconds)
        return lag

    async def _relay(self) -> None:
        listener = await self._database.listen(CHANNEL, self._appended)
        failures = 0
        try:
            while True:
                self._wake.clear()
                try:
                    sent = await self._step()
                except Unavailable as exc:
                    # Whatever could not be sent must go before what came after it.
                    self._caught_up = False
                    failures += 1
                    _log.warning("events stay in the outbox for now", failures=failures, error=repr(exc.__cause__))
                    await asyncio.sleep(min(BACKOFF_SECONDS_MAX, 0.1 * 2**failures))
                    continue
                failures = 0
                # A full batch has more behind it.
                if sent < self._batch_max:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(MARK_SECONDS if self._sent else POLL_SECONDS):
                            await self._wake.wait()
        finally:
            self._caught_up = False
            listener.remove(CHANNEL, self._appended)
            await self._mark_before_leaving()

    async def _step(self) -> int:
        """Sends what was handed over, or else marks what was sent and sends what is next; answers how many."""
        rows = self._take_handed() or await self._read()
        if not rows:
            return 0
        errors = await self._send(rows)
        crashpoints.reach(SENT)
        sent = [row for row, error in zip(rows, errors, strict=True) if error is None]
        self._sent.update(row[0] for row in sent)
        for name, count in collections.Counter(row[2] for row in sent).items():
            _PUBLISHED.labels(name).inc(count)
        for error in errors:
            if error is not None:
                raise Unavailable from error
        return len(rows)

    def _take_handed(self) -> Sequence[Row]:
        """What was handed over and not read and sent meanwhile; nothing where reading must come first."""
        if not self._caught_up or self._notified or time.monotonic() - self._read_at > MARK_SECONDS:
            return ()
        handed, self._handed = self._handed, []
        return [row for row in handed if row[0] not in self._sent]

    async def _read(self) -> Sequence[Row]:
        # What was handed over by now is committed, so it is among what is read.
        self._handed.clear()
        self._notified = False
        records = await self._database.fetch(_MARK_AND_NEXT, list(self._sent), self._batch_max)
        self._sent.clear()
        self._read_at = time.monotonic()
        self._caught_up = len(records) < self._batch_max
        return [tuple(record) for record in records]

    async def _send(self, rows: Sequence[Row]) -> list[Exception | None]:
        mode = self._mode
        messages: list[Message] = []
        with contextlib.ExitStack() as spans:
            for _, event_id, name, key, type_, request_id, traceparent, payload, _ in rows:
                headers = [
                    ("event-id", event_id.encode()),
                    ("type", type_.encode()),
                    ("schema", name.encode()),
                    ("request-id", request_id.encode()),
                    ("traceparent", traceparent.encode()),
                    ("mode", mode.encode()),
                ]
                messages.append(Message(topic(name, mode), key.encode(), payload, headers))
                if is_sampled(traceparent):
                    spans.enter_context(
                        span(f"send {type_}", traceparent=traceparent, kind="producer", request_id=request_id)
                    )
            return await self._producer.send_all(messages)

    async def _mark_before_leaving(self) -> None:
        """Spares whoever relays next a second sending; it may fail, a second sending harms nobody."""
        sent, self._sent = self._sent, set()
        if sent:
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._database.fetch(_MARK_AND_NEXT, list(sent), 0)

    def _appended(self, _payload: str) -> None:
        self._notified = True
        self._wake.set()
