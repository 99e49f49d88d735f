"""Owns the transactional outbox: events appended in the transaction that they tell of, and kept as history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from poolkit.database import Unit

CHANNEL: Final = "outbox"
"""What a relay listens on that is not handed what was appended: a NOTIFY takes a global lock at commit."""

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
    RETURNING event_id, sequence
)
SELECT event_id, sequence, CASE WHEN $9 THEN pg_notify('{CHANNEL}', '') END FROM appended
"""  # noqa: S608 - constants only


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


Row = tuple[Any, ...]
"""An event with its sequence before it: what is sent."""


async def append(unit: Unit, events: Sequence[OutboxEvent], *, notify: bool = True) -> list[Row]:
    """Appends the events in this order, in one statement; answers them with their sequences.

    With `notify` the relay is woken when the unit commits, whichever replica it runs in. Without, hand the answer to
    this process's own `Relay` after the commit.
    """
    if not events:
        return []
    records = await unit.fetch(APPEND_SQL, *append_args(events), notify)
    return rows(events, {record["event_id"]: record["sequence"] for record in records})


def rows(events: Sequence[OutboxEvent], sequences: Mapping[str, int]) -> list[Row]:
    """Those of the events that were appended, in the order of their sequences."""
    return sorted((sequences[event.event_id], *event) for event in events if event.event_id in sequences)
