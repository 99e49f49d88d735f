"""Owns the stored events: taking them in under the locks of what they move, parking, releasing, and burying them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ledger.domain.events import Event
from ledger.store.arrays import numbers, texts
from poolkit.database import Database, Record, Unit

# The locks come first, in one order for everyone: heads by organization, partners by id (holds lock these too), then
# the event ids. So the sequence is drawn when nobody else can extend these chains, an insert meets every event that was
# stored before, and no two batches can wait for each other in a circle.
_TAKE_IN = """
WITH heads AS MATERIALIZED (
    SELECT organization_id, sequence, link FROM chain_heads
    WHERE organization_id = ANY ($1::text[])
    ORDER BY organization_id FOR NO KEY UPDATE
), partners AS MATERIALIZED (
    SELECT id, balance FROM accounts
    WHERE id = ANY ($2::bigint[]) AND (SELECT count(*) FROM heads) >= 0
    ORDER BY id FOR NO KEY UPDATE
), arrived AS MATERIALIZED (
    SELECT CASE WHEN awaits = '' THEN nextval('event_sequence') END AS drawn, received.*
    FROM unnest($3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[], $7::date[],
                $8::text::bigint[], $9::bytea[], $10::text::text[], $11::text::text[], $12::text::integer[],
                $13::text::bigint[], $14::text::text[])
        AS received (event_id, topic, type, organization_id, business_date, occurred_ms, payload, request_id,
                     traceparent, partition, "offset", awaits)
    WHERE (SELECT count(*) FROM partners) >= 0
), stored AS (
    INSERT INTO inbox (event_id, topic, type, organization_id, business_date, occurred_ms, payload, request_id,
                       traceparent, partition, "offset", awaits, state, sequence, applied_at)
    SELECT event_id, topic, type, organization_id, business_date, occurred_ms, payload, request_id, traceparent,
           partition, "offset", awaits, CASE WHEN awaits = '' THEN 'applied' ELSE 'parked' END, drawn,
           CASE WHEN awaits = '' THEN now() END
    FROM arrived ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id, sequence
)
SELECT (SELECT array_agg(event_id) FROM stored) AS event_ids,
       (SELECT array_agg(sequence) FROM stored) AS sequences,
       (SELECT array_agg(organization_id) FROM heads) AS organization_ids,
       (SELECT array_agg(sequence) FROM heads) AS head_sequences,
       (SELECT array_agg(link) FROM heads) AS links,
       (SELECT array_agg(id) FROM partners) AS account_ids,
       (SELECT array_agg(balance::text) FROM partners) AS balances
"""

_FIND = "SELECT event_id, payload, state FROM inbox WHERE event_id = ANY ($1::text[])"

_REVIVE = """
UPDATE inbox SET business_date = again.business_date, occurred_ms = again.occurred_ms, awaits = again.awaits,
    state = CASE WHEN again.awaits = '' THEN 'applied' ELSE 'parked' END,
    sequence = CASE WHEN again.awaits = '' THEN nextval('event_sequence') END,
    applied_at = CASE WHEN again.awaits = '' THEN now() END
FROM unnest($1::text[], $2::date[], $3::bigint[], $4::text[]) AS again (event_id, business_date, occurred_ms, awaits)
WHERE inbox.event_id = again.event_id AND inbox.state = 'dead'
RETURNING inbox.event_id, inbox.sequence
"""

# Either side may have come last: the awaited event in this batch, or the one that waits.
_RELEASE = """
UPDATE inbox SET state = 'applied', sequence = nextval('event_sequence'), applied_at = now()
FROM inbox AS awaited
WHERE inbox.state = 'parked' AND awaited.event_id = inbox.awaits AND awaited.state = 'applied'
  AND (inbox.event_id = ANY ($1::text[]) OR inbox.awaits = ANY ($2::text[]))
RETURNING inbox.event_id, inbox.sequence, inbox.topic, inbox.payload, inbox.request_id, inbox.traceparent,
    inbox.partition, inbox."offset", inbox.type
"""

_APPLIED = """
SELECT sequence, event_id, topic, type, payload, request_id, traceparent, partition, "offset" FROM inbox
WHERE sequence > $1 ORDER BY sequence LIMIT $2
"""

_BURY = """
INSERT INTO inbox (event_id, topic, type, organization_id, payload, request_id, traceparent, partition, "offset", state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'dead')
ON CONFLICT (event_id) DO NOTHING
"""

_NOTE = """
INSERT INTO exceptions (kind, event_id, trade_id, organization_id, detail, payload)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
ON CONFLICT DO NOTHING
"""


class Locked(NamedTuple):
    """What was taken in, and what is locked until the transaction ends."""

    sequences: dict[str, int | None]
    """Of the events that are new, by event id; None for those that wait for another."""
    heads: dict[str, tuple[int, bytes]]
    balances: dict[int, str]


class StoredEvent(NamedTuple):
    """An event as it lies in the inbox."""

    event_id: str
    topic: str
    type: str
    payload: bytes
    request_id: str
    traceparent: str
    partition: int
    offset: int


class Exceptional(NamedTuple):
    """Something a person must look at."""

    kind: str
    event_id: str
    trade_id: str
    organization_id: str
    detail: str
    payload: bytes | None = None


async def take_in(
    unit: Unit, organization_ids: Sequence[str], account_ids: Sequence[int], events: Sequence[Event]
) -> Locked:
    """Locks heads and partner accounts, then stores the events that are not stored yet. Both lists come sorted.

    An event that awaits another is stored parked, all others as applied, with their place in the stored order.
    """
    (
        id_,
        topic,
        type_,
        organization_id,
        day,
        occurred_ms,
        payload,
        request_id,
        traceparent,
        partition,
        offset,
        awaits,
        _,
    ) = zip(*events, strict=True)
    row = await unit.fetch_row(
        _TAKE_IN,
        organization_ids,
        account_ids,
        texts(id_),
        texts(topic),
        texts(type_),
        texts(organization_id),
        day,
        numbers(occurred_ms),
        payload,
        texts(request_id),
        texts(traceparent),
        numbers(partition),
        numbers(offset),
        texts(awaits),
    )
    assert row is not None
    return Locked(
        dict(zip(row["event_ids"] or (), row["sequences"] or (), strict=True)),
        {
            organization_id: (sequence, link)
            for organization_id, sequence, link in zip(
                row["organization_ids"] or (), row["head_sequences"] or (), row["links"] or (), strict=True
            )
        },
        dict(zip(row["account_ids"] or (), row["balances"] or (), strict=True)),
    )


async def find_stored(unit: Unit, event_ids: Sequence[str]) -> dict[str, tuple[bytes, str]]:
    """Payload and state of the events by id."""
    rows: list[Any] = await unit.fetch(_FIND, event_ids)
    return {row["event_id"]: (row["payload"], row["state"]) for row in rows}


async def revive(unit: Unit, events: Sequence[Event]) -> dict[str, int | None]:
    """Takes buried events in after all, now that they can be read; answers as `take_in` does."""
    rows: list[Any] = await unit.fetch(
        _REVIVE,
        [event.event_id for event in events],
        [event.business_date for event in events],
        [event.occurred_ms for event in events],
        [event.awaits for event in events],
    )
    return {row["event_id"]: row["sequence"] for row in rows}


async def release(unit: Unit, waiting: Sequence[str], applied: Sequence[str]) -> list[tuple[int, StoredEvent]]:
    """Marks as applied, and answers in their new order, the parked events whose awaited event is applied.

    Looks at the `waiting` ones and at those that await one of the `applied`.
    """
    rows: list[Any] = await unit.fetch(_RELEASE, waiting, applied)
    return sorted((row["sequence"], stored_event(row)) for row in rows)


async def read_applied(database: Database, *, after_sequence: int, limit: int) -> list[tuple[int, StoredEvent]]:
    """The applied events in their stored order, beginning after a sequence."""
    rows: list[Any] = await database.fetch(_APPLIED, after_sequence, limit)
    return [(row["sequence"], stored_event(row)) for row in rows]


def stored_event(row: Record) -> StoredEvent:
    """A row of the inbox."""
    return StoredEvent(
        row["event_id"],
        row["topic"],
        row["type"],
        row["payload"],
        row["request_id"],
        row["traceparent"],
        row["partition"],
        row["offset"],
    )


async def bury(unit: Unit, event: StoredEvent, organization_id: str) -> None:
    """Keeps the bytes of an event that cannot be applied, unless its id is taken. Safe to repeat."""
    await unit.execute(
        _BURY,
        event.event_id,
        event.topic,
        event.type,
        organization_id,
        event.payload,
        event.request_id,
        event.traceparent,
        event.partition,
        event.offset,
    )


async def note(unit: Unit, exceptionals: Sequence[Exceptional]) -> None:
    """Records exceptions, each once."""
    if exceptionals:
        await unit.execute(_NOTE, *zip(*exceptionals, strict=True))
