"""Owns the table `inventory`: what lies in each pool, read and locked."""

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from poolkit.database import Database, Record, Unit
from quote.domain.inventory import Inventory

COLUMNS: Final = "i.pool_id, i.currency, i.total, i.held, i.committed, i.owed"

_LIST = f"""
SELECT {COLUMNS} FROM inventory i WHERE (i.pool_id, i.currency) > ($1, $2) ORDER BY i.pool_id, i.currency LIMIT $3
"""  # noqa: S608 - constants only

_LOCK = f"""
SELECT {COLUMNS}
FROM inventory i JOIN unnest($1::text[], $2::text[]) AS a (pool_id, currency)
    ON a.pool_id = i.pool_id AND a.currency = i.currency
ORDER BY i.pool_id, i.currency FOR UPDATE OF i
"""  # noqa: S608 - constants only


async def list_inventory(database: Database, *, after: tuple[str, str], limit: int) -> list[Inventory]:
    """Rows by pool and currency, from the one behind `after`."""
    return [inventory_of(row) for row in await database.fetch(_LIST, *after, limit)]


async def lock(unit: Unit, stocks: Collection[tuple[str, str]]) -> dict[tuple[str, str], Inventory]:
    """Locks the rows of (pool id, currency) until the unit ends; those that do not exist are left out."""
    rows = await unit.fetch(_LOCK, [pool_id for pool_id, _ in stocks], [currency for _, currency in stocks])
    return {(row["pool_id"], row["currency"]): inventory_of(row) for row in rows}


def inventory_of(row: Record) -> Inventory:
    """A row that has COLUMNS."""
    amounts: tuple[Decimal, ...] = (row["total"], row["held"], row["committed"], row["owed"])
    return Inventory(row["pool_id"], row["currency"], *amounts)
