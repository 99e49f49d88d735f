"""The daily close gets every report of a date once, in key order, with what became of it: also what must not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from poolkit.database import Database
from poolkit.ids import new_id
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import report_facts_pb2, webhook_ingest_pb2
from tests.integration import plans
from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.door import (
    BANK,
    SETTLEMENT,
    Door,
    TradeDesk,
    close_door,
    credited,
    open_door,
    settled,
)
from tests.integration.webhook_ingest.ledger_desk import LedgerDesk
from tests.waiting import eventually
from webhook_ingest.domain.events import Kind, ProviderEvent
from webhook_ingest.domain.processing import PROCESSED, Ending, Retries
from webhook_ingest.store import facts, unprocessed
from webhook_ingest.store.webhooks import StoredWebhook

CONTEXT = types_pb2.RequestContext(mode=types_pb2.MODE_TEST, request_id="req_close")
TODAY = datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class Day:
    """Reports of every fate."""

    door: Door
    admin: Database
    applied: list[str]
    """Trades that their report settled."""
    conflicted: str
    """A trade whose settled came again under its event id with another amount."""
    unknown: str
    """An id that no trade has."""
    refused: str
    """A trade that was reported as failed after it was settled."""
    payin: dict[str, Any]

    async def reports(self, business_date: date, **asked: Any) -> list[report_facts_pb2.ReportFact]:
        request = report_facts_pb2.StreamReportFactsRequest(
            context=CONTEXT, business_date=business_date.isoformat(), **asked
        )
        return [fact async for message in self.door.client.facts.StreamReportFacts(request) for fact in message.facts]

    async def payins(self, business_date: date, **asked: Any) -> list[report_facts_pb2.PayinFact]:
        request = report_facts_pb2.StreamPayinFactsRequest(
            context=CONTEXT, business_date=business_date.isoformat(), **asked
        )
        return [fact async for message in self.door.client.facts.StreamPayinFacts(request) for fact in message.facts]


@pytest.fixture(scope="module")
async def day(
    postgres: RunningPostgres, session: aiohttp.ClientSession, desk: TradeDesk, ledger: LedgerDesk
) -> AsyncIterator[Day]:
    url = await postgres.fresh_database("webhook_ingest")
    # An unknown trade is asked about once more only long after this test.
    slow = {"retry_seconds_min": 60.0, "retry_seconds_max": 60.0}
    door = await open_door(url, session, trade_address=desk.address, ledger_address=ledger.address, **slow)
    await door.add_source(SETTLEMENT)
    await door.add_source(BANK, ["payin.credited"])
    admin = Database(postgres.admin_url(url), application_name="test")
    applied = [(await desk.reserve()).trade_id for _ in range(4)]
    unknown = new_id("pt", "test")
    events = [settled(trade_id) for trade_id in (*applied, unknown)]
    await asyncio.gather(*(door.post(event) for event in events))
    payin = credited()
    await door.post(payin, source=BANK)
    await door.post(events[0] | {"cryptoAmount": "1.000000"})
    await door.post(payin | {"eventId": "another"}, source=BANK)
    await door.post(payin | {"eventId": "yet-another", "amount": "1.00"}, source=BANK)

    async def tried() -> bool:
        return len(await door.rows("SELECT 1 FROM webhook_attempts")) == 6

    await eventually(tried, "every webhook was tried")
    late = {"kind": "trade.failed", "networkTransactionId": None, "cryptoCurrency": None, "cryptoAmount": None}
    await door.post(settled(applied[1], **late))

    async def refused() -> bool:
        return len(await door.rows("SELECT 1 FROM unprocessed_webhooks WHERE given_up_at IS NOT NULL")) == 1

    await eventually(refused, "the late report was refused")
    yield Day(door, admin, applied, applied[0], unknown, applied[1], payin)
    await close_door(door)
    await admin.close()


async def test_every_report_is_there_once_by_trade_then_webhook_in_messages_of_any_size(day: Day) -> None:
    for size in (1, 2, 7, 8):
        found = await day.reports(TODAY, page_size=size)
        keys = [(fact.trade_id, fact.webhook_id) for fact in found]
        assert len(keys) == 7
        assert keys == sorted(set(keys))
    assert {fact.trade_id for fact in found} == {*day.applied, day.unknown}
    assert await day.reports(TODAY - timedelta(days=1)) == []
    assert await day.reports(TODAY, after_trade_id=keys[3][0], after_webhook_id=keys[3][1]) == found[4:]


async def test_a_report_that_took_effect_says_what_was_delivered(day: Day) -> None:
    [fact] = [fact for fact in await day.reports(TODAY) if fact.trade_id == day.applied[2]]
    assert (fact.kind, fact.source, fact.network_transaction_id) == ("trade.settled", SETTLEMENT, "0xabc")
    assert fact.crypto == types_pb2.Money(amount="107.904009", currency="USDT")
    done = fact.processing
    assert (done.state, done.effect) == (webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED, "applied")
    assert (done.attempt_count, done.signature_result, done.detail) == (1, "valid", "")
    assert done.receive_time.ToDatetime(UTC).date() == TODAY
    assert done.HasField("attempt_time")


async def test_an_event_id_that_came_again_with_other_fields_is_told_beside_the_first(day: Day) -> None:
    [first, conflict] = sorted(
        (fact for fact in await day.reports(TODAY) if fact.trade_id == day.conflicted),
        key=lambda fact: fact.processing.receive_time.ToNanoseconds(),
    )
    assert conflict.provider_event_id == first.provider_event_id
    assert (first.crypto.amount, conflict.crypto.amount) == ("107.904009", "1.000000")
    assert conflict.processing.state == webhook_ingest_pb2.WEBHOOK_STATE_CONFLICT
    assert conflict.processing.refusal_reason == "event_conflict"
    assert conflict.processing.first_webhook_id == first.webhook_id


async def test_what_has_no_effect_says_why_and_since_when(day: Day) -> None:
    [waiting] = [fact for fact in await day.reports(TODAY) if fact.trade_id == day.unknown]
    assert waiting.processing.state == webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED
    assert waiting.processing.attempt_count == 1
    assert "No trade has this id" in waiting.processing.detail
    [refused] = [fact for fact in await day.reports(TODAY) if fact.kind == "trade.failed"]
    assert refused.trade_id == day.refused
    assert refused.processing.state == webhook_ingest_pb2.WEBHOOK_STATE_EXCEPTION
    assert refused.processing.detail
    assert not refused.HasField("crypto")


async def test_a_payin_is_told_with_its_repeats_and_conflicts_and_whose_it_was(day: Day) -> None:
    first, repeat, conflict = sorted(
        await day.payins(TODAY, page_size=1), key=lambda fact: fact.processing.receive_time.ToNanoseconds()
    )
    assert {fact.bank_transaction_id for fact in (first, repeat, conflict)} == {day.payin["bankTransactionId"]}
    assert len({fact.event_id for fact in (first, repeat, conflict)}) == 1
    assert (first.organization_id, first.amount.amount) == ("unallocated", "1000.00")
    assert first.funding_reference == "NOBODY"
    assert first.processing.effect == "credited"
    assert (repeat.organization_id, repeat.processing.first_webhook_id) == ("", first.webhook_id)
    assert (conflict.processing.refusal_reason, conflict.amount.amount) == ("payin_conflict", "1.00")
    [behind] = await day.payins(TODAY, after_event_id=conflict.event_id, after_webhook_id=repeat.webhook_id)
    assert behind == conflict


async def test_a_report_processed_after_midnight_is_told_on_both_dates(day: Day) -> None:
    # Received yesterday: no test can wait for midnight, so its moment is set, and it is ended as a lane ends it.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    move = "UPDATE webhooks SET received_at = $1 WHERE transact_id = $2"
    await day.admin.execute(move, yesterday, day.unknown)
    [waiting] = await day.admin.fetch(
        "UPDATE unprocessed_webhooks SET attempt_number = 2 WHERE given_up_at IS NULL RETURNING webhook_id"
    )
    event = ProviderEvent("event", Kind.TRADE_SETTLED, yesterday, transact_id=day.unknown)
    claimed = StoredWebhook(waiting["webhook_id"], SETTLEMENT, event, "req_1", "", yesterday, 2)
    finish = unprocessed.Finish(claimed, Ending(PROCESSED, effect="applied"), "")
    ended = await unprocessed.finish(day.door.database, [finish], Retries(1, 1, 1, 1), 0.0)
    assert ended == {claimed.webhook_id: PROCESSED}
    [before] = await day.reports(yesterday.date())
    [after] = [fact for fact in await day.reports(TODAY, page_size=3) if fact.trade_id == day.unknown]
    assert before == after
    assert (after.processing.attempt_count, after.processing.effect) == (2, "applied")


async def test_each_page_is_a_range_of_the_indexes(day: Day) -> None:
    nodes = await plans.plan_nodes(day.door.database, facts.REPORTS)
    assert plans.indexes(nodes) == {"webhooks_reports", "webhook_attempts_overnight"}
    # What is sorted is the two pages, never a day.
    assert all(child["Node Type"] == "Limit" for child in _children_of(nodes, "Append"))
    nodes = await plans.plan_nodes(day.door.database, facts.PAYINS)
    assert plans.indexes(nodes) == {"webhooks_payins"}
    assert "Sort" not in plans.kinds(nodes)


def _children_of(nodes: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [child for node in nodes if node["Node Type"] == kind for child in node["Plans"]]
