"""Owns reading trades for the daily close: those that ended on a date, and those that wait, by trade id.

Ids are compared by bytes (`COLLATE "C"`), whatever the database's own order is: other owners' facts meet them. A day
has very many of them, so rows stay rows.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from poolkit.database import Database, Record

_TRADE: Final = """
    t.trade_id, t.organization_id, t.quote_id, t.pool_id, t.side, t.status, t.fiat_currency, t.fiat_amount::text,
    t.crypto_currency, t.crypto_amount::text, t.fee_amount::text, t.rate::text, t.spread_bps, t.client_reference,
    t.request_id, t.reconciliation_state, t.created_at
"""
ENDED: Final = """
SELECT trade_id COLLATE "C" AS trade_id FROM transitions
WHERE business_date = $1 AND number > 0 AND trade_id COLLATE "C" > $2 AND created_at < $3
GROUP BY trade_id COLLATE "C" ORDER BY trade_id COLLATE "C" LIMIT $4
"""
# No index serves IS NOT DISTINCT FROM: the page's trades are looked up one by one, however few the date of a young
# table seems to have.
ENDED_AS: Final = f"""
SELECT {_TRADE}, n.to_status, n.number, n.source, n.provider_event_id, n.webhook_id, n.reported_currency,
       n.reported_amount::text, n.request_id, n.created_at
FROM transitions n JOIN trades t ON t.trade_id = n.trade_id
WHERE n.trade_id = ANY($1::text[]) AND n.number > 0 AND n.business_date IS NOT DISTINCT FROM $2 AND n.created_at < $3
ORDER BY n.trade_id COLLATE "C", n.number
"""  # noqa: S608 - constants only
OPEN: Final = f"""
SELECT {_TRADE} FROM trades t
WHERE t.status = 'reserved' AND t.created_at < $1 AND t.trade_id COLLATE "C" > $2
ORDER BY t.trade_id COLLATE "C" LIMIT $3
"""  # noqa: S608 - constants only

TRADE_COLUMNS: Final = 17
"""How many columns tell of the trade; those behind tell of the transition."""
LAST_MOMENT: Final = datetime(9999, 12, 31, tzinfo=UTC)


class TradeFact(NamedTuple):
    """A trade as it is now, and its terminal transitions of the date: a row each, which begins with the trade's own."""

    trade_id: str
    trade: Record
    transitions: list[Record]


async def list_ended(
    database: Database, business_date: date, *, until: datetime, after: str, limit: int
) -> list[TradeFact]:
    """Trades behind `after` with a terminal transition on the date and before `until`."""
    ids = [row[0] for row in await database.fetch(ENDED, business_date, after, until, limit)]
    facts: list[TradeFact] = []
    for row in await database.fetch(ENDED_AS, ids, business_date, until) if ids else ():
        if facts and facts[-1].trade_id == row[0]:
            facts[-1].transitions.append(row)
        else:
            facts.append(TradeFact(row[0], row, [row]))
    return facts


async def list_open(database: Database, *, reserved_before: datetime, after: str, limit: int) -> list[TradeFact]:
    """Trades behind `after` that were reserved before an instant and are still."""
    rows = await database.fetch(OPEN, reserved_before, after, limit)
    return [TradeFact(row[0], row, []) for row in rows]
