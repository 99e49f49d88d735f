"""What must be true once the callers have left: every trade ended as it was to, once, and the books say the same."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from pools.ledger.v1 import ledger_pb2
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import Partner
from tests.e2e.rolling.patrons import Noted
from tests.waiting import eventually

_EVENTS = {"settled": 1, "failed": 1, "released": 1, "returned": 2}
"""How many terminal events lead to a status."""


async def check(
    noted: Noted, partner: Partner, funds: Decimal, session: Session, databases: Databases, receiver: WebhookReceiver
) -> None:
    """Waits until everything has come to rest, and compares."""
    own = partner.organization_id

    async def all_ended() -> bool:
        rows = await databases.rows("trade", "SELECT trade_id, status FROM trades WHERE organization_id = $1", own)
        stored = {row["trade_id"]: row["status"] for row in rows}
        assert stored.keys() == noted.trades.keys()
        wrong = Counter((noted.trades[trade], status) for trade, status in stored.items())
        assert {pair: number for pair, number in wrong.items() if pair[0] != pair[1]} == {}
        return True

    await eventually(all_ended, "every trade ended as it was to", seconds=90, every_seconds=0.2)
    expected = sum(_EVENTS[status] for status in noted.trades.values())

    async def all_applied() -> bool:
        query = "SELECT count(*) FROM inbox WHERE organization_id = $1 AND state = 'applied' AND type LIKE 'pool.%'"
        assert await databases.value("ledger", query, own) == expected
        return True

    await eventually(all_applied, "the ledger applied every terminal event", seconds=60, every_seconds=0.2)
    for service in ("trade", "quote", "webhook-ingest"):
        waiting = "SELECT count(*) FROM outbox WHERE published_at IS NULL"

        async def all_told(service: str = service, waiting: str = waiting) -> bool:
            return bool(await databases.value(service, waiting) == 0)

        await eventually(all_told, f"{service} has told everything", seconds=30)
    await _check_books(partner, funds, session, databases)
    for trade in noted.trades:
        await receiver.event_of(trade, seconds=30)


async def _check_books(partner: Partner, funds: Decimal, session: Session, databases: Databases) -> None:
    poolctl = Poolctl(session.addresses.data_dir)
    own = partner.organization_id
    books = await session.ledger.admin.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
    assert books.balanced
    spent = "SELECT coalesce(sum(fiat_amount), 0) FROM trades WHERE organization_id = $1 AND status = 'settled'"
    assert Decimal(await partner.rest.available()) == funds - await databases.value("trade", spent, own)
    assert await databases.value("ledger", "SELECT count(*) FROM holds WHERE state = 'open'") == 0

    async def all_given_back() -> bool:
        return bool(await databases.value("quote", "SELECT sum(held) + sum(committed) FROM inventory") == 0)

    # Quotes whose answer went to nobody hold it until they expire.
    await eventually(all_given_back, "no inventory is held or committed", seconds=60, every_seconds=0.2)
    rebuilt = await poolctl("ledger", "rebuild", "--against-owners", "--json", seconds=300)
    assert rebuilt.status == 0, rebuilt.stdout + rebuilt.stderr
    set_aside = await poolctl.answer("dlq", "list")
    assert set_aside == {"deadLetters": [], "parked": []}
