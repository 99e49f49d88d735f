"""Owns reading trades for the daily close: those that ended on a date, and those that wait, by trade id.

Ids are compared by bytes (`COLLATE "C"`), whatever the database's own order is: other owners' facts meet them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from poolkit.database import Database, Record
from trade.domain.trade import Status, Trade
from trade.store.trades import COLUMNS, trade_of

ENDED: Final = """
SELECT trade_id COLLATE "C" AS trade_id FROM transitions
WHERE business_date = $1 AND number > 0 AND trade_id COLLATE "C" > $2 AND created_at < $3
GROUP BY trade_id COLLATE "C" ORDER BY trade_id COLLATE "C" LIMIT $4
"""
_TRADES: Final = f"SELECT {COLUMNS} FROM trades t WHERE t.trade_id = ANY($1::text[])"  # noqa: S608 - constants only
_TRANSITIONS: Final = """
SELECT trade_id, number, to_status, source, provider_event_id, webhook_id, reported_currency, reported_amount::text,
       request_id, created_at
FROM transitions
WHERE trade_id = ANY($1::text[]) AND number > 0 AND business_date = $2 AND created_at < $3 ORDER BY number
"""
# By time on an index, then sorted: what waits for too long is little, and a statement reads much of it at once.
OPEN: Final = f"""
SELECT {COLUMNS} FROM trades t
WHERE t.status = 'reserved' AND t.created_at < $1 AND t.trade_id COLLATE "C" > $2
ORDER BY t.trade_id COLLATE "C" LIMIT $3
"""  # noqa: S608 - constants only

LAST_MOMENT: Final = datetime(9999, 12, 31, tzinfo=UTC)
OPEN_AT_ONCE: Final = 5_000
"""Open trades that one statement should read: each of them looks at all there are."""


@dataclass(frozen=True, slots=True)
class EndedAs:
    """One terminal transition, as it was reported."""

    status: Status
    number: int
    source: str
    provider_event_id: str
    webhook_id: str
    reported_currency: str
    reported_amount: str
    """Decimal string; empty when the report named no amount."""
    request_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TradeFact:
    """A trade as it is now, and its terminal transitions of the date, by number."""

    trade: Trade
    transitions: tuple[EndedAs, ...] = ()


async def list_ended(
    database: Database, business_date: date, *, until: datetime, after: str, limit: int
) -> list[TradeFact]:
    """Trades behind `after` with a terminal transition on the date and before `until`."""
    ids = [row["trade_id"] for row in await database.fetch(ENDED, business_date, after, until, limit)]
    if not ids:
        return []
    transitions: dict[str, list[EndedAs]] = {}
    for row in await database.fetch(_TRANSITIONS, ids, business_date, until):
        transitions.setdefault(row["trade_id"], []).append(_ended(row))
    trades = {row["trade_id"]: trade_of(row) for row in await database.fetch(_TRADES, ids)}
    return [TradeFact(trades[trade_id], tuple(transitions[trade_id])) for trade_id in ids]


async def list_open(database: Database, *, reserved_before: datetime, after: str, limit: int) -> list[TradeFact]:
    """Trades behind `after` that were reserved before an instant and are still."""
    rows = await database.fetch(OPEN, reserved_before, after, limit)
    return [TradeFact(trade_of(row)) for row in rows]


def _ended(row: Record) -> EndedAs:
    return EndedAs(
        status=Status(row["to_status"]),
        number=row["number"],
        source=row["source"],
        provider_event_id=row["provider_event_id"],
        webhook_id=row["webhook_id"],
        reported_currency=row["reported_currency"] or "",
        reported_amount=row["reported_amount"] or "",
        request_id=row["request_id"],
        created_at=row["created_at"],
    )
