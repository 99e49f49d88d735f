"""Owns reading the table `inventory_days`: what lay in each pool at the end of a business date."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from poolkit.database import Database

TOTALS: Final = """
SELECT pool_id, currency, sum(amount) AS amount, sum(movement_count)::bigint AS movement_count,
       coalesce(sum(movement_count) FILTER (WHERE business_date = $1), 0)::bigint AS date_movement_count
FROM inventory_days WHERE business_date <= $1
GROUP BY pool_id, currency ORDER BY pool_id COLLATE "C", currency COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class InventoryTotal:
    """One pool's stock of one currency at the end of a date, less what was owed, and what made it."""

    pool_id: str
    currency: str
    amount: Decimal
    movement_count: int
    date_movement_count: int


async def totals(database: Database, business_date: date) -> list[InventoryTotal]:
    """Every stock that was moved on the date or before it. A row a stock and day is read."""
    return [InventoryTotal(*row) for row in await database.fetch(TOTALS, business_date)]
