"""Owns the table `treasury_movements`: inventory topped up and drawn down, each movement once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from poolkit.context import CallContext
from poolkit.database import Unit
from quote.domain.inventory import Inventory
from quote.store.inventory import inventory_of
from quote.store.stock import count_days, move, move_total

_KNOWN = """
SELECT m.movement_id, m.pool_id, m.currency, m.amount, m.total, m.held, m.committed, m.owed
FROM treasury_movements m WHERE m.movement_id = ANY($1::text[])
"""

_NOW = "SELECT now() AS now, (now() AT TIME ZONE 'UTC')::date AS business_date"

_POOLS = "SELECT pool_id, fiat_currency, crypto_currency FROM pools WHERE pool_id = ANY($1::text[])"

_MOVE = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[],
        $9::numeric[], $10::date[], $11::text[], $12::text[]
    ) AS a (movement_id, event_id, pool_id, currency, amount, total, held, committed, owed, business_date, request_id,
            traceparent)
), written AS (
    INSERT INTO treasury_movements (movement_id, event_id, pool_id, currency, amount, total, held, committed, owed,
                                    business_date, request_id, traceparent, created_at)
    SELECT a.*, now() FROM asked a
), changes AS (
    SELECT pool_id, currency, sum(amount) AS amount FROM asked GROUP BY pool_id, currency
), {move(move_total("l.amount"))}, {count_days("asked")}
SELECT count(*) FROM moved
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Movement:
    """Inventory to add to a pool, or to take from it when the amount is negative."""

    context: CallContext
    movement_id: str
    pool_id: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement with the inventory it left."""

    movement: Movement
    event_id: str
    business_date: date
    occurred_at: datetime
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class KnownMovement:
    """A movement made before."""

    currency: str
    amount: Decimal
    inventory: Inventory


async def clock(unit: Unit) -> tuple[datetime, date]:
    """When this transaction happens, and its business date."""
    row = await unit.fetch_row(_NOW)
    assert row is not None, "SELECT without FROM has one row"
    return row["now"], row["business_date"]


async def currencies(unit: Unit, pool_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """The two currencies of each pool there is."""
    rows = await unit.fetch(_POOLS, pool_ids)
    return {row["pool_id"]: frozenset((row["fiat_currency"], row["crypto_currency"])) for row in rows}


async def known(unit: Unit, movement_ids: Sequence[str]) -> dict[str, KnownMovement]:
    """Movements made before, by id."""
    rows = await unit.fetch(_KNOWN, movement_ids)
    return {row["movement_id"]: KnownMovement(row["currency"], row["amount"], inventory_of(row)) for row in rows}


async def move_inventory(unit: Unit, movements: Sequence[Moved]) -> None:
    """Writes new movements and changes the inventory, whose rows this unit has locked."""
    values = [
        (
            moved.movement.movement_id, moved.event_id, moved.movement.pool_id, moved.movement.currency,
            moved.movement.amount, moved.inventory.total, moved.inventory.held, moved.inventory.committed,
            moved.inventory.owed, moved.business_date, moved.movement.context.request_id,
            moved.movement.context.traceparent,
        )
        for moved in movements
    ]  # fmt: skip
    await unit.fetch(_MOVE, *zip(*values, strict=True))
