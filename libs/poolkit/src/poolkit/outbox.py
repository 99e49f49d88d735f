"""Owns the transactional outbox: events appended in the transaction that they tell of, and kept as history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from poolkit.database import Unit

CHANNEL: Final = "outbox"
"""What the relay listens on. One NOTIFY a statement, since each takes a global lock at commit."""

DDL: Final = """
CREATE TABLE outbox (
    sequence      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id      text NOT NULL UNIQUE,
    topic         text NOT NULL,
    key           text NOT NULL,
    type          text NOT NULL,
    request_id    text NOT NULL,
    traceparent   text NOT NULL,
    payload       bytea NOT NULL,
    business_date date NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at  timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (sequence) WHERE published_at IS NULL;
"""
"""For a service's first migration. Topics are base names, without a mode."""

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
