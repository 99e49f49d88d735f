"""After many trades with every outcome at once, the books balance and agree with the trades to the last digit."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from poolctl.session import Session
from pools.ledger.v1 import ledger_pb2
from tests.e2e.databases import Databases
from tests.e2e.partners import SETTLES, Partner, PartnerFactory
from tests.waiting import eventually

TRADES = 500
IN_FLIGHT = 32
OUTCOMES = ("0001", "0002", "0003", "0004", "0006", "0042")
FUNDS = Decimal("100000.00")


async def test_five_hundred_trades_with_mixed_outcomes_leave_books_that_balance(
    partners: PartnerFactory, databases: Databases, session: Session
) -> None:
    customers = [await partners(paid_in=str(FUNDS), endpoint=False) for _ in range(4)]
    trades = await _trade(customers)
    assert len({trade["transactId"] for trade in trades}) == TRADES
    organizations = [customer.organization_id for customer in customers]

    async def all_ended() -> bool:
        found = await databases.rows(
            "trade",
            "SELECT status, destination_address FROM trades WHERE organization_id = ANY($1::text[])",
            organizations,
        )
        return all(row["status"] == _ending(row["destination_address"]) for row in found) and len(found) == TRADES

    await eventually(all_ended, "every trade reached its last status", seconds=90)
    told = "SELECT count(*) FROM outbox WHERE topic = 'pools.trade.terminal.v1' AND key = ANY($1::text[])"
    events = await databases.value("trade", told, organizations)

    async def all_applied() -> bool:
        query = """
            SELECT count(*) FROM inbox
            WHERE organization_id = ANY($1::text[]) AND state = 'applied' AND type LIKE 'pool.%'
        """
        return bool(await databases.value("ledger", query, organizations) == events)

    await eventually(all_applied, "the ledger applied every terminal event", seconds=60)
    await _check_each_partner(customers, databases)
    books = await session.ledger.admin.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
    assert books.balanced
    open_holds = "SELECT count(*) FROM holds WHERE organization_id = ANY($1::text[]) AND state = 'open'"
    assert await databases.value("ledger", open_holds, organizations) == 0


async def _trade(customers: list[Partner]) -> list[dict[str, Any]]:
    numbers = iter(range(TRADES))
    trades: list[dict[str, Any]] = []

    async def caller() -> None:
        for number in numbers:
            address = SETTLES[:-4] + OUTCOMES[number % len(OUTCOMES)]
            customer = customers[number % len(customers)]
            trades.append(
                await customer.rest.accept(amount=f"{10 + number % 90}.{number % 100:02}", destinationAddress=address)
            )

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return trades


def _ending(address: str) -> str:
    return {"0002": "failed", "0003": "released", "0004": "returned", "0006": "returned"}.get(address[-4:], "settled")


async def _check_each_partner(customers: list[Partner], databases: Databases) -> None:
    for customer in customers:
        spent = await databases.value(
            "trade",
            "SELECT coalesce(sum(fiat_amount), 0) FROM trades WHERE organization_id = $1 AND status = 'settled'",
            customer.organization_id,
        )
        entries = await databases.value(
            "ledger",
            "SELECT sum(amount) FROM journal WHERE kind = 'partner' AND organization_id = $1 AND currency = 'EUR'",
            customer.organization_id,
        )
        assert Decimal(await customer.rest.available()) == entries == FUNDS - spent
