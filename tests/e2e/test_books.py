"""After many trades with every outcome at once, the books balance and agree with the trades to the last digit."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from poolctl.session import Addresses, Session
from pools.ledger.v1 import ledger_pb2
from tests.e2e.commands import Poolctl
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


@pytest.mark.long
async def test_the_books_can_be_rebuilt_from_the_events_and_agree_with_their_owners(poolctl: Poolctl) -> None:
    """Whatever ran on this stack before."""
    ended = await poolctl("ledger", "rebuild", "--against-owners", "--json")
    assert ended.status == 0, ended.stdout
    assert ended.document["ok"]


async def test_rebuilding_the_books_names_the_entry_and_the_event_that_a_superuser_changed_and_nothing_else(
    partner: Partner, poolctl: Poolctl, addresses: Addresses, databases: Databases
) -> None:
    trade = await partner.rest.accept(amount="10.00", destinationAddress=SETTLES)

    async def posted() -> dict[str, Any] | None:
        query = """
            SELECT t.number, 'le_' || substr(t.id, 8) || e.leg AS id, t.event_id FROM transactions t
            JOIN entries e ON e.transaction_number = t.number AND e.leg = 1 WHERE t.trade_id = $1
        """
        return next(iter(await databases.rows("ledger", query, trade["transactId"])), None)

    entry = await eventually(posted, "the trade is in the books")
    books, trades = [await asyncpg.connect(addresses.admin_databases[service]) for service in ("ledger", "trade")]
    forge = "UPDATE entries SET amount = amount {} 0.01 WHERE transaction_number = $1 AND leg = 1"
    flip = "UPDATE outbox SET payload = set_byte(payload, 0, get_byte(payload, 0) # 1) WHERE event_id = $1"
    await books.execute("ALTER TABLE entries DISABLE TRIGGER append_only")
    try:
        await books.execute(forge.format("+"), entry["number"])
        await trades.execute(flip, entry["event_id"])
        ended = await poolctl("ledger", "rebuild", "--against-owners", "--json")
    finally:
        await trades.execute(flip, entry["event_id"])
        await books.execute(forge.format("-"), entry["number"])
        await books.execute("ALTER TABLE entries ENABLE ALWAYS TRIGGER append_only")
        await books.close()
        await trades.close()
    assert ended.status == 1, ended.stderr
    assert ended.document["compared"]["transactions"] > 0
    assert ended.document["owners"]["compared"].keys() == {"trade", "webhook-ingest", "quote"}
    assert [found["id"] for found in ended.document["first"]] == [entry["id"]]
    assert [(found["kind"], found["eventId"]) for found in ended.document["owners"]["first"]] == [
        ("different_bytes", entry["event_id"])
    ]
    rebuilt_names = "SELECT count(*) FROM pg_database WHERE datname LIKE 'ledger_rebuilt_%'"
    assert await databases.value("ledger", rebuilt_names) == 0
