"""Owns reading an outbox as history: how far it is published up to a business date, and its events in key order."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from poolkit.database import Database, Record

PAGE_EVENTS: Final = 1000

# What has begun and not ended may still append with a date before the cut. Read before the events are counted, or what
# commits in between would be in neither. A role sees its own sessions only, and nobody else appends.
_OPEN: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
  AND xact_start < (($1::date + 1)::timestamp AT TIME ZONE 'UTC')
"""

_WATERMARK: Final = """
SELECT count(*) AS unpublished, min(created_at) AS oldest_at,
       coalesce((SELECT sequence FROM outbox ORDER BY sequence DESC LIMIT 1), 0) AS highest_sequence
FROM outbox WHERE published_at IS NULL AND business_date <= $1
"""

_COLUMNS: Final = """
SELECT event_id, sequence, topic, type, key, sha256(payload) AS payload_hash, business_date, published_at FROM outbox
"""
_PAGE: Final = f"""{_COLUMNS}
WHERE event_id > $1 AND (cardinality($2::text[]) = 0 OR topic = ANY ($2::text[]))
ORDER BY event_id LIMIT {PAGE_EVENTS}
"""
_NAMED: Final = f"""{_COLUMNS}
WHERE event_id = ANY ($3::text[]) AND event_id > $1 AND (cardinality($2::text[]) = 0 OR topic = ANY ($2::text[]))
ORDER BY event_id
"""


class Watermark(NamedTuple):
    """How far an owner has published what happened up to a business date."""

    unpublished_events: int
    oldest_unpublished_at: datetime | None
    open_transactions: int
    highest_sequence: int


async def read_watermark(database: Database, business_date: date) -> Watermark:
    """Two statements, in the order that leaves nothing out. Raises Unavailable."""
    open_transactions = await database.fetch_value(_OPEN, business_date)
    row = await database.fetch_row(_WATERMARK, business_date)
    if row is None:
        raise RuntimeError("an aggregate always answers one row")
    return Watermark(row["unpublished"], row["oldest_at"], open_transactions, row["highest_sequence"])


async def read_events(
    database: Database, topics: Sequence[str], *, after_event_id: str, event_ids: Sequence[str] = ()
) -> AsyncIterator[list[Record]]:
    """Pages of events in the order of their ids; only those of `topics` and `event_ids` where given."""
    if event_ids:
        rows = await database.fetch(_NAMED, after_event_id, topics, event_ids)
        if rows:
            yield rows
        return
    while rows := await database.fetch(_PAGE, after_event_id, topics):
        yield rows
        after_event_id = rows[-1]["event_id"]
