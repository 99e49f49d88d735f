"""Owns the table `velocity_locks` and the sum of what an organization traded in the last 24 hours."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from poolkit.database import Unit

_ENSURE = "INSERT INTO velocity_locks SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
_LOCK = "SELECT 1 FROM velocity_locks WHERE organization_id = ANY($1::text[]) ORDER BY organization_id FOR UPDATE"
# The index `trades_recent` bounds what is read: a day of the organization's trades, not its history.
_SUM = """
SELECT organization_id, fiat_currency, sum(fiat_amount) AS total FROM trades
WHERE organization_id = ANY($1::text[]) AND created_at > clock_timestamp() - interval '24 hours'
  AND status IN ('reserved', 'settled', 'returned')
GROUP BY organization_id, fiat_currency
"""


async def used_notional(unit: Unit, organization_ids: Collection[str]) -> dict[tuple[str, str], Decimal]:
    """Locks the organizations until the transaction ends, then sums: nobody adds to a sum another is deciding on.

    The sum is a statement of its own, after the lock: its snapshot sees what the holder before committed.
    """
    ordered = sorted(organization_ids)
    await unit.execute(_ENSURE, ordered)
    await unit.execute(_LOCK, ordered)
    rows = await unit.fetch(_SUM, ordered)
    return {(row["organization_id"], row["fiat_currency"]): row["total"] for row in rows}
