"""Owns what the newest closes say as a whole: up to when dates are closed, and how many exceptions stand."""

from datetime import datetime
from typing import Final

from poolkit.database import Database

# Before the first close it is the first event's date that waits for one; a ledger without events waits for nothing.
_CLOSED_UNTIL: Final = """
SELECT coalesce(
    (SELECT cut_at FROM closes WHERE NOT provisional ORDER BY business_date DESC, revision DESC LIMIT 1),
    (SELECT business_date::timestamp AT TIME ZONE 'UTC' FROM inbox WHERE sequence IS NOT NULL
     ORDER BY sequence LIMIT 1),
    clock_timestamp()
)
"""

# A date that was closed anew tells something new, be it long over; the newest date's close must not be hidden by that,
# nor hide it. What stands in both is one exception.
_EXCEPTIONS: Final = """
WITH newest AS (
    SELECT DISTINCT ON (business_date) business_date, created_at, contents FROM closes WHERE NOT provisional
    ORDER BY business_date DESC, revision DESC
)
SELECT kind, max(found::bigint) AS found FROM newest, jsonb_each_text(contents -> 'kinds') AS counted (kind, found)
WHERE business_date = (SELECT max(business_date) FROM newest) OR created_at > clock_timestamp() - interval '1 day'
GROUP BY kind
"""


async def closed_until(database: Database) -> datetime:
    """The end of the newest date that is closed."""
    until: datetime = await database.fetch_value(_CLOSED_UNTIL)
    return until


async def exceptions_by_kind(database: Database) -> dict[str, int]:
    """Those of the newest date, and of dates that were closed anew within a day."""
    return {row["kind"]: row["found"] for row in await database.fetch(_EXCEPTIONS)}
