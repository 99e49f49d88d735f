"""Owns finding the dates that are to be closed: never closed, closed before something late came, or not told on."""

from datetime import date
from typing import Final

from poolkit.database import Database

MISSED_MAX: Final = 100
LATE_EVENTS_MAX: Final = 1_000_000

# The first date there is to close is the first event's; a ledger without events has nothing to close.
_MISSED = """
SELECT day::date FROM generate_series(
    (SELECT business_date FROM inbox WHERE sequence IS NOT NULL ORDER BY sequence LIMIT 1), $1::date, interval '1 day'
) AS day
WHERE NOT EXISTS (SELECT FROM closes WHERE business_date = day::date AND NOT provisional)
ORDER BY day LIMIT $2
"""

# Only what was applied since the last look is looked at; at the first look, since the oldest close of the last week.
_NEW = """
WITH applied AS MATERIALIZED (
    SELECT sequence, business_date FROM inbox WHERE sequence > greatest($1, (
        SELECT coalesce(min(inbox_sequence), 0) FROM (
            SELECT DISTINCT ON (business_date) inbox_sequence FROM closes WHERE NOT provisional
            ORDER BY business_date DESC, revision DESC LIMIT 7
        ) AS week
    )) ORDER BY sequence LIMIT $3
), newest AS (
    SELECT business_date, max(sequence) AS sequence FROM applied GROUP BY business_date
)
SELECT greatest($1, max(sequence)) AS looked_at, array_agg(business_date) FILTER (
    WHERE business_date <= $2 AND sequence > (
        SELECT inbox_sequence FROM closes WHERE closes.business_date = newest.business_date AND NOT provisional
        ORDER BY revision DESC LIMIT 1
    )
) AS dates
FROM newest
"""

_UNTOLD = """
SELECT business_date FROM (
    SELECT DISTINCT ON (business_date) business_date, close_id, provisional FROM closes
    ORDER BY business_date DESC, revision DESC LIMIT $1
) AS newest
WHERE NOT provisional AND NOT EXISTS (SELECT FROM close_tellings WHERE close_tellings.close_id = newest.close_id)
ORDER BY business_date
"""


async def missed_dates(database: Database, last: date) -> list[date]:
    """Dates up to `last` that have no close but a provisional one, the oldest first."""
    rows = await database.fetch(_MISSED, last, MISSED_MAX)
    return [row[0] for row in rows]


async def late_dates(database: Database, after_sequence: int, last: date) -> tuple[list[date], int]:
    """Closed dates up to `last` of which an event was applied since, and up to where was looked."""
    row = await database.fetch_row(_NEW, after_sequence, last, LATE_EVENTS_MAX)
    assert row is not None
    return sorted(row["dates"] or ()), row["looked_at"]


async def untold_dates(database: Database) -> list[date]:
    """Dates whose newest close has not been told to all trades."""
    rows = await database.fetch(_UNTOLD, MISSED_MAX)
    return [row["business_date"] for row in rows]
