"""Kills the ledger with -9 while it applies: no event is lost, none counts twice, and the books balance."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from ledger.app import apply_events
from poolctl.failure import CommandFailure
from poolkit import inbox
from tests.chaos.conftest import POOL, Customer, Town
from tests.waiting import eventually

SETTLES = "TQchaoschaoschaoschaoschaosch0001"
TRADES = 60


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(apply_events.TAKEN_IN, marks=pytest.mark.long),
        pytest.param(apply_events.WRITTEN, marks=pytest.mark.long),
        apply_events.COMMITTED,
        inbox.APPLIED,
    ],
)
async def test_a_killed_ledger_loses_and_doubles_nothing(town: Town, point: str) -> None:
    customer = await town.customer()
    await town.stack.stop_part("ledger")
    # Not at the first batch: there shall be something before it that the crash could double.
    await town.stack.start_part("ledger", {"POOLS_CRASHPOINT": f"{point}@3"})
    revived = asyncio.create_task(_revive(town))
    trades = await _trade(customer)
    await revived
    await _all_posted(town, customer)
    query = "SELECT count(*) FROM transactions WHERE trade_id = ANY($1::text[])"
    assert await town.value("ledger", query, trades) == TRADES
    assert Decimal((await customer.api.list_ledger("EUR"))["available"]) == Decimal(100000) - 10 * TRADES
    unbalanced = "SELECT currency FROM journal GROUP BY currency HAVING sum(amount) <> 0"
    assert await town.rows("ledger", unbalanced) == []
    assert (
        await town.value("ledger", "SELECT count(*) FROM holds WHERE state = 'open' AND trade_id = ANY($1)", trades)
        == 0
    )


async def _revive(town: Town) -> None:
    """Waits until the ledger has killed itself, and starts it again."""
    await town.stack.part("ledger").process.wait(60)
    await town.stack.start_part("ledger")


async def _trade(customer: Customer) -> list[str]:
    """Accepts quotes one after the other, eight at a time, each until it is answered."""
    numbers = iter(range(TRADES))
    trades: list[str] = []

    async def caller() -> None:
        for _ in numbers:
            quote_id = await customer.quote(SETTLES)
            trades.append(
                await eventually(lambda quote_id=quote_id: _accepted(customer, quote_id), "accepted", seconds=60)
            )

    await asyncio.gather(*(caller() for _ in range(8)))
    return trades


async def _accepted(customer: Customer, quote_id: str) -> str | None:
    try:
        return str((await customer.api.transact(POOL, quote_id, idempotency_key=quote_id))["transactId"])
    except CommandFailure:
        # Out of reach or still in progress: a partner's server asks again with the same key.
        return None


async def _all_posted(town: Town, customer: Customer) -> None:
    told = "SELECT count(*) FROM outbox WHERE topic = 'pools.trade.terminal.v1' AND key = $1"
    applied = "SELECT count(*) FROM transactions WHERE organization_id = $1 AND trade_id <> ''"

    async def all_posted() -> bool:
        count = await town.value("trade", told, customer.organization_id)
        return bool(count == TRADES == await town.value("ledger", applied, customer.organization_id))

    await eventually(all_posted, "every settled trade is posted", seconds=60)
