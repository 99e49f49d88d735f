"""Owns the table `deposit_addresses`: where sold crypto is sent, one address a trade, never used again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from poolkit.database import Database, Unit
from trade.domain.trade import Trade

_ADD: Final = """
INSERT INTO deposit_addresses (address, network, crypto_currency, request_id, traceparent)
SELECT address, network, crypto_currency, $4, $5
FROM unnest($1::text[], $2::text[], $3::text[]) AS given (address, network, crypto_currency)
ORDER BY address
ON CONFLICT DO NOTHING
RETURNING address
"""
_STOCKS: Final = """
SELECT network, crypto_currency, count(*) AS free FROM deposit_addresses
WHERE trade_id IS NULL GROUP BY network, crypto_currency ORDER BY network, crypto_currency
"""
# Locked addresses are another transaction's: nobody waits for one, there are others.
_TAKE: Final = """
SELECT address FROM deposit_addresses WHERE trade_id IS NULL AND network = $1 AND crypto_currency = $2
ORDER BY created_at, address LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_ASSIGN: Final = """
UPDATE deposit_addresses AS held SET trade_id = given.trade_id, assigned_at = clock_timestamp()
FROM unnest($1::text[], $2::text[]) AS given (address, trade_id)
WHERE held.address = given.address AND held.trade_id IS NULL
"""


class NewAddress(NamedTuple):
    """An address that the settlement side watches."""

    address: str
    network: str
    crypto_currency: str


class Stock(NamedTuple):
    """How many addresses wait for a trade."""

    network: str
    crypto_currency: str
    free_count: int


async def add(database: Database, addresses: Sequence[NewAddress], *, request_id: str, traceparent: str) -> int:
    """Adds addresses; answers how many were new. One that is known stays what it is, used or not."""
    rows = await database.fetch(
        _ADD,
        [one.address for one in addresses],
        [one.network for one in addresses],
        [one.crypto_currency for one in addresses],
        request_id,
        traceparent,
    )
    return len(rows)


async def stocks(database: Database) -> list[Stock]:
    """What is free, where anything is."""
    rows = await database.fetch(_STOCKS)
    return [Stock(row["network"], row["crypto_currency"], row["free"]) for row in rows]


async def take(unit: Unit, sales: Sequence[Trade]) -> dict[str, str]:
    """An address for each sale by trade id, locked until the transaction ends; none for those beyond the stock."""
    wanting: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for trade in sales:
        wanting[trade.terms.network, trade.terms.crypto_currency].append(trade.trade_id)
    taken: dict[str, str] = {}
    for (network, currency), trade_ids in wanting.items():
        rows = await unit.fetch(_TAKE, network, currency, len(trade_ids))
        taken.update(zip(trade_ids, (row["address"] for row in rows), strict=False))
    return taken


async def assign(unit: Unit, sales: Sequence[Trade]) -> None:
    """Makes taken addresses their trades', for good."""
    await unit.execute(_ASSIGN, [trade.deposit_address for trade in sales], [trade.trade_id for trade in sales])
