"""Protects settlement reports on the real tables: one effect each, events numbered per trade, nothing lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from poolkit.database import Database
from pools.events.v1 import events_pb2
from tests.integration.trade.reserved import new_trades, relay_elsewhere, reserve_trades
from tests.unit.trade.builders import report
from trade.app.report import Applied, ReportSettlements
from trade.domain.lifecycle import Outcome, Report
from trade.domain.trade import Status, Trade
from trade.outbound.events import TradeEvents
from trade.store import trades


@pytest.fixture
def reports(database: Database) -> ReportSettlements:
    return ReportSettlements(database, relay_elsewhere(database), TradeEvents("test"))


async def reserve(database: Database, count: int = 1) -> list[Trade]:
    return await reserve_trades(database, new_trades(count))


def of(reserved: Trade, status: Status) -> Report:
    return replace(report(status), trade_id=reserved.trade_id)


async def told(database: Database, trade_id: str) -> list[tuple[str, int]]:
    """The terminal events of a trade in the order of the outbox: type and number."""
    rows = await database.fetch(
        "SELECT type, payload FROM outbox WHERE topic = 'pools.trade.terminal.v1' ORDER BY sequence"
    )
    events = [(row["type"], events_pb2.TradeTerminal.FromString(row["payload"])) for row in rows]
    return [(kind, event.number) for kind, event in events if event.trade.transact_id == trade_id]


async def test_the_same_report_twenty_times_at_once_moves_the_trade_once(
    database: Database, reports: ReportSettlements
) -> None:
    (reserved,) = await reserve(database)
    answers = await asyncio.gather(*(reports([of(reserved, Status.SETTLED)]) for _ in range(20)))
    outcomes = [answer[0].decision.outcome for answer in answers if answer[0] is not None]
    assert sorted(outcomes) == [Outcome.APPLIED] + [Outcome.REPEATED] * 19
    assert await told(database, reserved.trade_id) == [("pool.transaction.settled", 1)]


async def test_returned_before_settled_waits_and_is_told_second(database: Database, reports: ReportSettlements) -> None:
    (reserved,) = await reserve(database)
    assert _only(await reports([of(reserved, Status.RETURNED)])).decision.outcome is Outcome.EARLY
    assert await told(database, reserved.trade_id) == []
    applied = _only(await reports([of(reserved, Status.SETTLED)]))
    assert applied.trade.status is Status.RETURNED
    assert await told(database, reserved.trade_id) == [
        ("pool.transaction.settled", 1),
        ("pool.transaction.returned", 2),
    ]
    stored = (await trades.find_by_id(database, [reserved.trade_id]))[reserved.trade_id]
    assert (stored.status, stored.terminal_count) == (Status.RETURNED, 2)
    assert stored == applied.trade


async def test_both_reports_in_one_batch_end_the_same_in_either_order(
    database: Database, reports: ReportSettlements
) -> None:
    first, second = await reserve(database, 2)
    batch = [of(first, Status.RETURNED), of(second, Status.SETTLED), of(first, Status.SETTLED)]
    await reports([*batch, of(second, Status.RETURNED)])
    for reserved in (first, second):
        assert [number for _, number in await told(database, reserved.trade_id)] == [1, 2]


async def test_an_illegal_report_moves_nothing_and_is_kept(database: Database, reports: ReportSettlements) -> None:
    (reserved,) = await reserve(database)
    await reports([of(reserved, Status.FAILED)])
    refused = _only(await reports([of(reserved, Status.SETTLED)]))
    assert refused.decision.outcome is Outcome.REFUSED
    assert refused.trade.status is Status.FAILED
    kept = await database.fetch("SELECT kind, status, refusal_reason FROM unapplied_reports")
    assert [tuple(row) for row in kept] == [("refused", "settled", "illegal_transition")]
    # Whoever told it may not have heard the answer.
    again = _only(await reports([of(reserved, Status.SETTLED)]))
    assert again.decision == refused.decision
    assert await database.fetch_value("SELECT count(*) FROM unapplied_reports") == 1
    await reports([replace(of(reserved, Status.SETTLED), webhook_id="whe_another")])
    assert await database.fetch_value("SELECT count(*) FROM unapplied_reports") == 2


async def test_a_report_of_an_unknown_trade_is_told_apart_and_harms_no_other(
    database: Database, reports: ReportSettlements
) -> None:
    (reserved,) = await reserve(database)
    unknown = replace(report(Status.SETTLED), trade_id="pt_test_unknown")
    answers = await reports([unknown, of(reserved, Status.SETTLED)])
    assert answers[0] is None
    assert _only(answers[1:]).decision.outcome is Outcome.APPLIED


async def test_many_batches_over_the_same_trades_never_deadlock(database: Database, reports: ReportSettlements) -> None:
    reserved = await reserve(database, 12)
    orders = [reserved[turn:] + reserved[:turn] for turn in range(12)]
    await asyncio.gather(*(reports([of(one, Status.SETTLED) for one in order]) for order in orders))
    assert await database.fetch_value("SELECT count(*) FROM outbox WHERE type LIKE '%.settled'") == 12
    assert await database.fetch_value("SELECT count(*) FROM trades WHERE status = 'settled'") == 12


def _only(answers: list[Applied | None]) -> Applied:
    (answer,) = answers
    assert answer is not None
    return answer
