"""What any account had at any moment: after each entry, at each instant, and found along an index."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.app.balance_at import own_balance_at
from ledger.store import moments
from poolctl.session import Session
from poolkit.errors import InvalidRequest, NotFound
from pools.ledger.v1 import audit_pb2
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.audits import audit_session
from tests.integration.ledger.books import Books, new_trade, open_books
from tests.integration.ledger.events import allocation, payin, top_up, trade_event

A_MOMENT = timedelta(microseconds=1)


@pytest.fixture(scope="module")
async def books(postgres: RunningPostgres) -> AsyncIterator[Books]:
    """Books with two partners' payments and trades between each other, in several batches."""
    async with open_books(postgres) as opened:
        trades = [new_trade() for _ in range(4)]
        unclaimed = payin("unallocated", "50.00")
        await opened.apply(top_up(), payin("org_1"), payin("org_2", "7.00"), unclaimed)
        await opened.apply(trade_event("org_1", trades[0]), trade_event("org_2", trades[1]))
        await opened.apply(allocation("org_2", unclaimed, "50.00"), trade_event("org_1", trades[0], "returned"))
        await opened.apply(trade_event("org_1", trades[2], side=types_pb2.SIDE_OFF_RAMP), payin("org_1", "0.01"))
        yield opened


@pytest.fixture(scope="module")
async def session(books: Books) -> AsyncIterator[Session]:
    async with audit_session(books) as opened:
        yield opened


async def partner_at(session: Session, organization_id: str, moment: str | datetime, currency: str = "EUR") -> Any:
    account = audit_pb2.PartnerAccount(organization_id=organization_id, currency=currency)
    request = audit_pb2.GetBalanceAtRequest(partner=account)
    if isinstance(moment, str):
        request.entry_id = moment
    else:
        stamp = Timestamp()
        stamp.FromDatetime(moment)
        request.instant.CopyFrom(stamp)
    return await session.ledger.audit.GetBalanceAt(request)


async def test_partner_had_after_each_entry_and_at_each_instant_what_the_entries_come_to(
    books: Books, session: Session
) -> None:
    for organization_id in ("org_1", "org_2"):
        rows = await books.admin.fetch(
            "SELECT * FROM journal WHERE organization_id = $1 AND kind = 'partner' ORDER BY sequence", organization_id
        )
        assert len(rows) >= 3
        before = Decimal(0)
        for row in rows:
            after = await partner_at(session, organization_id, row["id"])
            at = await partner_at(session, organization_id, row["created_at"])
            just_before = await partner_at(session, organization_id, row["created_at"] - A_MOMENT)
            assert (after.entry_id, after.sequence) == (row["id"], row["sequence"])
            assert at == after
            assert Decimal(after.balance.amount) == before + row["amount"]
            assert Decimal(just_before.balance.amount) == before
            before += row["amount"]


async def test_before_the_first_entry_there_is_nothing(session: Session) -> None:
    for organization_id in ("org_1", "org_nobody"):
        answer = await partner_at(session, organization_id, datetime(2020, 1, 1, tzinfo=UTC))
        assert (answer.balance.amount, answer.entry_id, answer.sequence) == ("0.00", "", 0)
        assert not answer.HasField("create_time")


async def test_our_own_accounts_had_what_their_entries_come_to(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "PAGE_TRANSACTIONS", 2)
    sums = """
        SELECT coalesce(sum(amount) FILTER (WHERE number <= $3), 0) AS after,
               coalesce(sum(amount) FILTER (WHERE booked_at <= $4), 0) AS at
        FROM entries JOIN accounts ON id = account_id
        JOIN (SELECT number, created_at AS booked_at FROM transactions) AS posted ON number = transaction_number
        WHERE kind = $1 AND currency = $2
    """
    posted = await books.admin.fetch("SELECT id, number, created_at FROM transactions")
    for kind, currency in (("fees", "EUR"), ("inventory", "USDT"), ("clearing", "EUR")):
        for id_, number, created_at in posted:
            expected = await books.admin.fetch_row(sums, kind, currency, number, created_at)
            assert expected is not None
            after = await own_balance_at(books.database, kind, currency, "", f"le_{id_[7:]}1")
            at = await own_balance_at(books.database, kind, currency, "", created_at)
            assert (after.balance, at.balance) == (expected["after"], expected["at"])


async def test_what_names_no_account_or_no_moment_is_refused(books: Books, session: Session) -> None:
    entry = await books.admin.fetch_value("SELECT id FROM journal WHERE organization_id = 'org_2' AND kind = 'bank'")
    of_another = await books.admin.fetch_value("SELECT id FROM journal WHERE organization_id = 'org_2' LIMIT 1")
    for foreign in (entry, of_another, "le_nonsense", "le_" + "0" * 27):
        with pytest.raises(NotFound):
            await partner_at(session, "org_1", foreign)
    with pytest.raises(NotFound):
        await own_balance_at(books.database, "fees", "GBP", "", datetime.now(UTC))
    audit, partner = session.ledger.audit, audit_pb2.PartnerAccount(organization_id="org_1", currency="EUR")
    nowhere = audit_pb2.SystemAccount(account_kind="profit", currency="EUR")
    pooled = audit_pb2.SystemAccount(account_kind="fees", currency="EUR", pool_id="EUR-USDT")
    for request in (
        audit_pb2.GetBalanceAtRequest(entry_id=entry),
        audit_pb2.GetBalanceAtRequest(partner=partner),
        audit_pb2.GetBalanceAtRequest(partner=audit_pb2.PartnerAccount(currency="EUR"), entry_id=entry),
        audit_pb2.GetBalanceAtRequest(partner=partner, instant=Timestamp(seconds=10**18)),
        audit_pb2.GetBalanceAtRequest(system=nowhere, entry_id=entry),
        audit_pb2.GetBalanceAtRequest(system=pooled, entry_id=entry),
    ):
        with pytest.raises(InvalidRequest):
            await audit.GetBalanceAt(request)


@pytest.mark.parametrize("statement", ["_LAST", "_PLACE", "_ENTRY", "_MOVED_SINCE"])
async def test_every_look_up_goes_by_an_index(books: Books, statement: str) -> None:
    sql = getattr(moments, statement)
    values = {
        "_LAST": ("'partner:EUR:0:org_1'", "5"),
        "_PLACE": ("'org_1'", "now()"),
        "_ENTRY": ("'ledger_x'", "1"),
        "_MOVED_SINCE": ("100", "10", "ARRAY[1]", "5", "now()"),
    }[statement]
    for number, value in enumerate(values, 1):
        sql = sql.replace(f"${number}", value)
    plan = "\n".join(row[0] for row in await books.database.fetch(f"EXPLAIN {sql}"))
    assert "Seq Scan" not in plan
    assert "Index" in plan
