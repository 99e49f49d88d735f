"""Owns the table `status_polls`: who may ask the provider about a trade now, and what it said last."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from poolkit.database import Database
from webhook_ingest.domain.polls import PollOutcome

# Decided by the database's clock, so that replicas agree on who asks.
_CLAIM: Final = """
INSERT INTO status_polls AS held (transact_id, asked_at, asked_count, request_id, traceparent)
SELECT DISTINCT ON (transact_id) transact_id, clock_timestamp(), 1, request_id, traceparent
FROM unnest($1::text[], $2::text[], $3::text[]) AS given (transact_id, request_id, traceparent)
ORDER BY transact_id
ON CONFLICT (transact_id) DO UPDATE
    SET asked_at = excluded.asked_at, asked_count = held.asked_count + 1, outcome = '',
        request_id = excluded.request_id, traceparent = excluded.traceparent
    WHERE held.asked_at <= clock_timestamp()
          - make_interval(secs => ($5::float8[])[array_position($4::text[], held.transact_id)])
RETURNING transact_id
"""
_RECORD: Final = "UPDATE status_polls SET outcome = $2 WHERE transact_id = $1"


class Poll(NamedTuple):
    """One question to the provider."""

    trade_id: str
    request_id: str
    """On whose behalf."""
    traceparent: str
    pause_seconds: float
    """It must not have been asked about this trade for so long."""


async def claim(database: Database, polls: Sequence[Poll]) -> set[str]:
    """The trades that the caller shall ask about now, of those given; nobody else will for their pause."""
    trade_ids = [poll.trade_id for poll in polls]
    rows = await database.fetch(
        _CLAIM,
        trade_ids,
        [poll.request_id for poll in polls],
        [poll.traceparent for poll in polls],
        trade_ids,
        [poll.pause_seconds for poll in polls],
    )
    return {row["transact_id"] for row in rows}


async def record(database: Database, trade_id: str, outcome: PollOutcome) -> None:
    """Keeps what came of it."""
    await database.execute(_RECORD, trade_id, outcome)
