"""The daily close gets every trade that ended on a date, once, in the order of ids, however it asks again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.ids import event_id
from poolkit.rpc.convert import from_time
from pools.trade.v1 import trade_facts_pb2, trade_facts_pb2_grpc
from pools.types.v1 import types_pb2
from pools_contracts.trade import TradeClient
from tests.integration import plans
from tests.integration.databases import RunningPostgres
from tests.integration.trade.reserved import new_trades, relay_elsewhere, reserve_trades
from tests.integration.trade.served import CONTEXT, serving
from tests.integration.trade.stocked import fill, touched
from tests.unit.trade.builders import report
from trade.api.facts_service import TradeFactsService
from trade.app.report import ReportSettlements
from trade.domain.trade import Status, Trade
from trade.outbound.events import TradeEvents
from trade.outbound.facts import add_facts
from trade.store import facts

FIRST_DAY, SECOND_DAY = "2026-11-20", "2026-11-21"


@dataclass(frozen=True, slots=True)
class Books:
    """Trades that ended on two days, and those that wait."""

    client: TradeClient
    database: Database
    admin: Database
    settled: list[Trade]
    """On the first day; the first of them was returned on the second."""
    failed: Trade
    open: list[Trade]

    async def ended(self, business_date: str, **asked: Any) -> list[list[trade_facts_pb2.TradeFact]]:
        request = trade_facts_pb2.StreamTradeFactsRequest(context=CONTEXT, business_date=business_date, **asked)
        return [list(message.facts) async for message in self.client.facts.StreamTradeFacts(request)]

    async def waiting(self, before: datetime, **asked: Any) -> list[str]:
        request = trade_facts_pb2.StreamOpenTradesRequest(
            context=CONTEXT, reserved_before_time=from_time(before), **asked
        )
        return [
            fact.trade_id async for message in self.client.facts.StreamOpenTrades(request) for fact in message.facts
        ]


@pytest.fixture(scope="module")
async def books(postgres: RunningPostgres) -> AsyncIterator[Books]:
    url = await postgres.fresh_database("trade")
    database, admin = Database(url, application_name="test"), Database(postgres.admin_url(url), application_name="test")
    written = await reserve_trades(database, new_trades(9))
    settled, failed, waiting = written[:5], written[5], written[6:]
    apply = ReportSettlements(database, relay_elsewhere(database), TradeEvents("test"))
    await apply([replace(report(Status.SETTLED), trade_id=one.trade_id) for one in settled])
    await apply([replace(report(Status.FAILED), trade_id=failed.trade_id, crypto_amount="", crypto_currency="")])
    # A transition of yesterday cannot be had by waiting: its moment is set as the clock would have.
    move = "UPDATE transitions SET business_date = $1, created_at = $2 WHERE number = $3"
    await admin.execute(move, date(2026, 11, 20), datetime(2026, 11, 20, 12, tzinfo=UTC), 1)
    await apply([replace(report(Status.RETURNED), trade_id=settled[0].trade_id)])
    await admin.execute(move, date(2026, 11, 21), datetime(2026, 11, 21, 12, tzinfo=UTC), 2)
    adder = trade_facts_pb2_grpc.add_TradeFactsServiceServicer_to_server
    async with serving(adder, TradeFactsService(database, add_facts, "test")) as client:
        yield Books(client, database, admin, settled, failed, waiting)
    await database.close()
    await admin.close()


async def test_a_date_has_every_trade_that_ended_on_it_once_by_id_in_messages_of_the_asked_size(books: Books) -> None:
    of_the_date = sorted(one.trade_id for one in (*books.settled, books.failed))
    for size in (1, 2, 6, 7):
        messages = await books.ended(FIRST_DAY, page_size=size)
        assert [fact.trade_id for message in messages for fact in message] == of_the_date
        assert {len(message) for message in messages[:-1]} <= {size}
    assert await books.ended("2026-11-19") == []


async def test_a_trade_returned_later_is_told_on_both_dates_with_the_transitions_of_each(books: Books) -> None:
    [[returned]] = await books.ended(SECOND_DAY)
    first = books.settled[0]
    assert returned.trade_id == first.trade_id
    assert [one.number for one in returned.transitions] == [2]
    before = next(fact for [fact] in await books.ended(FIRST_DAY, page_size=1) if fact.trade_id == first.trade_id)
    assert [one.number for one in before.transitions] == [1]
    assert {returned.status, before.status} == {types_pb2.TRADE_STATUS_RETURNED}


async def test_a_fact_says_all_that_the_close_compares(books: Books) -> None:
    facts_by_id = {fact.trade_id: fact for [fact] in await books.ended(FIRST_DAY, page_size=1)}
    one = books.settled[1]
    fact = facts_by_id[one.trade_id]
    assert (fact.organization_id, fact.quote_id, fact.pool_id) == (one.organization_id, one.quote_id, one.pool_id)
    assert (fact.fiat.amount, fact.fiat.currency) == ("100.00", "EUR")
    assert (fact.crypto.amount, fact.crypto.currency) == ("107.904009", "USDT")
    assert (fact.fee.amount, fact.rate, fact.spread_bps) == ("0.20", "1.085000", 35)
    assert (fact.client_reference, fact.request_id) == ("order-1", one.request_id)
    assert (fact.side, fact.status) == (types_pb2.SIDE_ON_RAMP, types_pb2.TRADE_STATUS_SETTLED)
    assert fact.reconciliation_state == types_pb2.RECONCILIATION_STATE_OPEN
    [settled] = fact.transitions
    assert settled.event_id == event_id(one.trade_id, "pool.transaction.settled")
    assert (settled.webhook_id, settled.provider_event_id) == ("whe_1", "event-settled")
    assert (settled.source, settled.request_id) == ("sandbox-settlement", "req_report")
    assert settled.reported_crypto == types_pb2.Money(amount="107.904009", currency="USDT")
    assert settled.create_time.ToDatetime(UTC) == datetime(2026, 11, 20, 12, tzinfo=UTC)
    [failed] = facts_by_id[books.failed.trade_id].transitions
    assert not failed.HasField("reported_crypto")


async def test_a_stream_that_broke_off_goes_on_behind_its_last_fact(books: Books) -> None:
    [first, *rest] = [fact.trade_id for [fact] in await books.ended(FIRST_DAY, page_size=1)]
    [message] = await books.ended(FIRST_DAY, after_trade_id=first)
    assert [fact.trade_id for fact in message] == rest
    request = trade_facts_pb2.StreamTradeFactsRequest(context=CONTEXT, business_date=FIRST_DAY, page_size=1)
    async for begun in books.client.facts.StreamTradeFacts(request):
        assert [fact.trade_id for fact in begun.facts] == [first]
        break


async def test_a_moment_within_the_day_leaves_out_what_came_later(books: Books) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert await books.ended(FIRST_DAY, until_time=from_time(noon)) == []
    [message] = await books.ended(FIRST_DAY, until_time=from_time(noon + timedelta(microseconds=1)))
    assert len(message) == 6


async def test_open_trades_are_those_reserved_before_the_moment_and_still(books: Books) -> None:
    expected = sorted(one.trade_id for one in books.open)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert await books.waiting(later) == expected
    assert await books.waiting(later, page_size=1, after_trade_id=expected[0]) == expected[1:]
    assert await books.waiting(books.open[0].created_at) == []


@pytest.mark.parametrize(
    "asked",
    [
        {"business_date": "2026-11-31"},
        {"business_date": "20261120"},
        {"business_date": FIRST_DAY, "page_size": 1_001},
        {"business_date": FIRST_DAY, "after_trade_id": "\x00"},
        {"business_date": FIRST_DAY, "context": types_pb2.RequestContext(mode=types_pb2.MODE_LIVE)},
    ],
    ids=lambda asked: str(max(asked)),
)
async def test_what_cannot_be_answered_is_refused_before_the_first_message(books: Books, asked: dict[str, Any]) -> None:
    request = trade_facts_pb2.StreamTradeFactsRequest(**({"context": CONTEXT} | asked))
    with pytest.raises(InvalidRequest):
        [_ async for _ in books.client.facts.StreamTradeFacts(request)]


async def test_each_page_is_a_range_of_the_index_and_sorts_nothing(books: Books) -> None:
    nodes = await plans.plan_nodes(books.database, facts.ENDED)
    assert plans.indexes(nodes) == {"transitions_ended"}
    assert "Sort" not in plans.kinds(nodes)
    nodes = await plans.plan_nodes(books.database, facts.ENDED_AS)
    assert plans.indexes(nodes) == {"transitions_pkey", "trades_pkey"}
    nodes = await plans.plan_nodes(books.database, facts.OPEN)
    assert plans.indexes(nodes) == {"trades_open"}
    assert "Sort" not in plans.kinds(nodes)


async def test_a_page_of_open_trades_looks_at_no_more_than_it_tells(postgres: RunningPostgres) -> None:
    url = await postgres.fresh_database("trade")
    database, admin = Database(url, application_name="test"), await asyncpg.connect(postgres.admin_url(url))
    try:
        await fill(admin, 4_000)
        await admin.execute("UPDATE trades SET status = 'reserved'")
        middle = "pt_test_" + "2000".rjust(12, "0")
        # Planned while little is known of the table, and when all is.
        for statement in ("SELECT 1", "VACUUM ANALYZE trades"):
            await admin.execute(statement)
            async with database.transaction() as unit:
                already = await touched(unit)
                rows = await unit.fetch(facts.OPEN, facts.LAST_MOMENT, middle, 10)
                assert [row["trade_id"][-4:] for row in rows] == [str(number) for number in range(2001, 2011)]
                assert await touched(unit) - already <= 10
    finally:
        await admin.close()
        await database.close()
