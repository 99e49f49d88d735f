"""A person ends a trade that nobody reports on: once, with a reason and a name, and never one that has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from poolkit.database import Database
from poolkit.errors import IllegalTransition, InvalidRequest, NotFound
from pools.events.v1 import events_pb2
from pools.trade.v1 import trade_admin_pb2, trade_admin_pb2_grpc
from pools.types.v1 import types_pb2
from pools_contracts.trade import TradeClient
from tests.integration import plans
from tests.integration.trade.reserved import new_trades, relay_elsewhere, reserve_trades
from tests.integration.trade.served import CONTEXT, serving
from tests.unit.trade.builders import report
from trade.api.admin_service import TradeAdminService
from trade.app.report import ReportSettlements
from trade.app.resolve import ReleaseTrade
from trade.domain.lifecycle import Outcome
from trade.domain.trade import Status, Trade
from trade.outbound.events import TradeEvents
from trade.outbound.views import trade_message
from trade.store import trades

RELEASED = types_pb2.TRADE_STATUS_RELEASED


@pytest.fixture
async def client(database: Database) -> AsyncIterator[TradeClient]:
    release = ReleaseTrade(database, relay_elsewhere(database), TradeEvents("test"))
    adder = trade_admin_pb2_grpc.add_TradeAdminServiceServicer_to_server
    async with serving(adder, TradeAdminService(release, trade_message, "test")) as client:
        yield client


@pytest.fixture
async def stuck(database: Database) -> Trade:
    [one] = await reserve_trades(database, new_trades(1))
    return one


@pytest.fixture
def reports(database: Database) -> ReportSettlements:
    return ReportSettlements(database, relay_elsewhere(database), TradeEvents("test"))


def release(trade_id: str, **changed: Any) -> trade_admin_pb2.ResolveTradeRequest:
    said: dict[str, Any] = {
        "context": CONTEXT,
        "trade_id": trade_id,
        "resolution": trade_admin_pb2.TRADE_RESOLUTION_RELEASE,
        "reason": "The provider lost it.",
        "resolved_by": "ada",
    }
    return trade_admin_pb2.ResolveTradeRequest(**(said | changed))


async def told(database: Database) -> list[tuple[str, int, str, str]]:
    rows = await database.fetch("SELECT payload FROM outbox WHERE topic = 'pools.trade.terminal.v1' ORDER BY sequence")
    events = [events_pb2.TradeTerminal.FromString(row["payload"]) for row in rows]
    return [(event.header.type, event.number, event.source, event.webhook_id) for event in events]


async def test_a_stuck_trade_is_released_once_however_often_it_is_asked_and_the_first_reason_stays(
    database: Database, client: TradeClient, stuck: Trade
) -> None:
    answers = await asyncio.gather(
        *(client.admin.ResolveTrade(release(stuck.trade_id, resolved_by=f"person {number}")) for number in range(8))
    )
    assert sorted(answer.already_resolved for answer in answers) == [False] + [True] * 7
    assert {answer.trade.status for answer in answers} == {RELEASED}
    [first] = {(answer.reason, answer.resolved_by) for answer in answers}
    assert await told(database) == [("pool.transaction.released", 1, "operator", "")]
    row = await database.fetch_row("SELECT reason, resolved_by, request_id, traceparent FROM resolutions")
    assert row is not None
    assert (row["reason"], row["resolved_by"], row["request_id"]) == (*first, "req_colleague")
    [move] = await database.fetch("SELECT * FROM transitions WHERE number = 1")
    assert (move["from_status"], move["to_status"], move["source"]) == ("reserved", "released", "operator")
    with pytest.raises(Exception, match="permission denied"):
        await database.execute("UPDATE resolutions SET reason = 'another'")


@pytest.mark.parametrize("ended", [Status.SETTLED, Status.FAILED, Status.RELEASED])
async def test_a_trade_that_ended_by_a_report_is_not_resolved(
    database: Database, client: TradeClient, stuck: Trade, reports: ReportSettlements, ended: Status
) -> None:
    await reports([replace(report(ended), trade_id=stuck.trade_id)])
    with pytest.raises(IllegalTransition, match=f"{ended} already"):
        await client.admin.ResolveTrade(release(stuck.trade_id))
    assert await database.fetch("SELECT 1 FROM resolutions") == []
    assert len(await told(database)) == 1


async def test_what_the_provider_reports_afterwards_is_refused_and_kept(
    database: Database, client: TradeClient, stuck: Trade, reports: ReportSettlements
) -> None:
    await client.admin.ResolveTrade(release(stuck.trade_id))
    [late] = await reports([replace(report(Status.SETTLED), trade_id=stuck.trade_id)])
    assert late is not None
    assert (late.decision.outcome, late.trade.status) == (Outcome.REFUSED, Status.RELEASED)
    assert [row["kind"] for row in await database.fetch("SELECT kind FROM unapplied_reports")] == ["refused"]


async def test_a_report_and_a_person_at_once_end_the_trade_once(
    database: Database, client: TradeClient, stuck: Trade, reports: ReportSettlements
) -> None:
    settled = replace(report(Status.SETTLED), trade_id=stuck.trade_id)
    answers = await asyncio.gather(
        client.admin.ResolveTrade(release(stuck.trade_id)), reports([settled]), return_exceptions=True
    )
    [(kind, number, _, _)] = await told(database)
    assert number == 1
    assert isinstance(answers[0], IllegalTransition) == (kind == "pool.transaction.settled")


async def test_the_age_of_the_oldest_reserved_trade_is_known_and_read_off_an_index(
    database: Database, client: TradeClient, stuck: Trade
) -> None:
    [younger] = await reserve_trades(database, new_trades(1))
    age = await trades.oldest_reserved_seconds(database)
    assert 0 < age < 3600
    await client.admin.ResolveTrade(release(stuck.trade_id))
    of_the_younger = datetime.now(UTC) - younger.created_at
    assert abs(await trades.oldest_reserved_seconds(database) - of_the_younger.total_seconds()) < 5
    await client.admin.ResolveTrade(release(younger.trade_id))
    assert await trades.oldest_reserved_seconds(database) == 0
    nodes = await plans.plan_nodes(database, trades.OLDEST_RESERVED)
    assert plans.indexes(nodes) == {"trades_reserved"}
    assert "Sort" not in plans.kinds(nodes)


WRONG: list[dict[str, Any]] = [
    {"resolution": trade_admin_pb2.TRADE_RESOLUTION_UNSPECIFIED},
    {"reason": "  "},
    {"reason": "x" * 501},
    {"reason": "two\nlines"},
    {"resolved_by": ""},
    {"context": types_pb2.RequestContext(mode=types_pb2.MODE_LIVE)},
]


async def test_a_decision_without_its_maker_or_reason_or_trade_is_refused(client: TradeClient, stuck: Trade) -> None:
    for wrong in WRONG:
        with pytest.raises(InvalidRequest):
            await client.admin.ResolveTrade(release(stuck.trade_id, **wrong))
    for unknown in ("pt_test_unknown", "", "\x00"):
        with pytest.raises(NotFound):
            await client.admin.ResolveTrade(release(unknown))
