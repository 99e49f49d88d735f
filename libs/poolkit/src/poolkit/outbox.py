"""Owns the transactional outbox: events appended in the transaction that they tell of, and kept as history."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge

from poolkit import crashpoints
from poolkit.database import Database, Record, Unit
from poolkit.errors import Unavailable
from poolkit.kafka import Message, Producer, topic
from poolkit.leases import Lease
from poolkit.telemetry.traceparent import is_sampled
from poolkit.telemetry.tracing import span

CHANNEL: Final = "outbox"
"""What the relay listens on. One NOTIFY a statement, since each takes a global lock at commit."""

DDL: Final = """
CREATE TABLE outbox (
    sequence      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id      text COLLATE "C" NOT NULL UNIQUE,
    topic         text NOT NULL,
    key           text NOT NULL,
    type          text NOT NULL,
    request_id    text NOT NULL,
    traceparent   text NOT NULL,
    payload       bytea NOT NULL CHECK (octet_length(payload) <= 900000),
    business_date date NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at  timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (sequence) WHERE published_at IS NULL;
"""
"""For a service's first migration. Topics are base names, without a mode; payloads fit into a Kafka message."""

COLUMNS: Final = "event_id, topic, key, type, request_id, traceparent, payload, business_date"

INSERT_SQL: Final = f"INSERT INTO outbox ({COLUMNS})"
"""For a service's own CTE: follow it with a SELECT of COLUMNS in the order the events are to be sent."""

APPEND_SQL: Final = f"""
WITH appended AS (
    {INSERT_SQL}
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::date[]
    )
    RETURNING sequence
)
SELECT pg_notify('{CHANNEL}', '') FROM appended LIMIT 1
"""  # noqa: S608 - constants only

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

_log = structlog.get_logger("poolkit.outbox")


def grants(role: str) -> str:
    """What a runtime role that appends and relays needs, and no more: rows are never deleted, only marked as sent."""
    return f"GRANT SELECT, INSERT, UPDATE (published_at) ON outbox TO {role};"


class OutboxEvent(NamedTuple):
    """One event as it will be sent."""

    event_id: str
    """Unique for good; a second append of it fails the transaction, for then the state change happened twice."""
    topic: str
    """Base name, without the mode."""
    key: str
    """The organization's id: one organization's events keep their order."""
    type: str
    request_id: str
    traceparent: str
    """Of the operation that writes the event, not of the one that sends it later."""
    payload: bytes
    business_date: date


def append_args(events: Sequence[OutboxEvent]) -> tuple[Sequence[Any], ...]:
    """The events as the eight arrays of APPEND_SQL, for a service that folds the append into a statement of its own."""
    return tuple(zip(*events, strict=True))


async def append(unit: Unit, events: Sequence[OutboxEvent]) -> None:
    """Appends the events in this order and wakes the relay when the unit commits: one statement, one notification."""
    if events:
        await unit.fetch(APPEND_SQL, *append_args(events))


class Lag(NamedTuple):
    """What is appended and not yet sent."""

    events: int
    seconds: float
    """Age of the oldest."""


class Relay:
    """Sends what is appended, in the order of its sequence, and marks it once the broker has it on every replica.

    Woken by the notification of an append, with a look every second behind it. Whoever holds the lease relays. An event
    may be sent twice (a crash between sending and marking), never zero times. What cannot be sent stays and is tried
    again and again, loudly.
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
        self._sent: Sequence[int] = ()
        self._measured_at = 0.0

    async def run(self) -> None:
        """Relays whenever the lease is held, until cancelled."""
        await self._lease.run(self._relay)

    async def lag(self) -> Lag:
        """Measures now, and sets the metrics."""
        self._measured_at = time.monotonic()
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
                    read = await self._step()
                except Unavailable as exc:
                    failures += 1
                    _log.warning("events stay in the outbox for now", failures=failures, error=repr(exc.__cause__))
                    await asyncio.sleep(min(BACKOFF_SECONDS_MAX, 0.1 * 2**failures))
                    continue
                failures = 0
                # A full batch has more behind it.
                if read < self._batch_max:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(MARK_SECONDS if read else POLL_SECONDS):
                            await self._wake.wait()
        finally:
            listener.remove(CHANNEL, self._appended)
            await self._mark_before_leaving()

    async def _step(self) -> int:
        """Marks what the step before sent and sends what is next; answers how many events that was."""
        if time.monotonic() - self._measured_at > MEASURE_SECONDS:
            await self.lag()
        rows = await self._database.fetch(_MARK_AND_NEXT, self._sent, self._batch_max)
        self._sent = ()
        if not rows:
            return 0
        errors = await self._send(rows)
        crashpoints.reach(SENT)
        sent = [row for row, error in zip(rows, errors, strict=True) if error is None]
        self._sent = [row[0] for row in sent]
        for name, count in collections.Counter(row[2] for row in sent).items():
            _PUBLISHED.labels(name).inc(count)
        for error in errors:
            if error is not None:
                raise Unavailable from error
        return len(rows)

    async def _send(self, rows: Sequence[Record]) -> list[Exception | None]:
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
        sent, self._sent = self._sent, ()
        if sent:
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._database.fetch(_MARK_AND_NEXT, sent, 0)

    def _appended(self, _payload: str) -> None:
        self._wake.set()
