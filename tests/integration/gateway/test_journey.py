"""Support search: one id of any kind gives the whole journey, joined from every owner in time order."""

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import pytest

from poolkit.errors import InvalidRequest, NotFound
from poolkit.ids import event_id, new_id
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import journey_pb2, types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import RunningGateway, start_gateway
from tests.integration.gateway.neighbours import House
from tests.integration.gateway.receiver import receiving
from tests.waiting import eventually

FIELDS = (
    "product_area", "partner_reference", "pool_id", "quote_id", "transact_id", "status", "request_id",
    "reconciliation_state",
)  # fmt: skip


async def find(gateway: RunningGateway, wanted: str) -> admin_pb2.FindJourneyResponse:
    return await gateway.internal.support.FindJourney(admin_pb2.FindJourneyRequest(id=wanted))


def kinds(journey: admin_pb2.FindJourneyResponse) -> set[tuple[str, str]]:
    """Which owners told of what."""
    return {(record.service, record.kind) for record in journey.records}


def lines(journey: admin_pb2.FindJourneyResponse) -> set[tuple[str, str, str, str]]:
    """What is told, line by line."""
    return {(one.service, one.kind, one.record_id, one.entered_state) for one in journey.records}


def told_of(journey: admin_pb2.FindJourneyResponse, service: str, kind: str) -> list[types_pb2.JourneyRecord]:
    return [record for record in journey.records if (record.service, record.kind) == (service, kind)]


async def test_any_id_of_a_settled_trade_leads_to_its_whole_journey(house: House) -> None:
    gateway = house.gateway
    partner = await house.onboard("Checkout", money="1000.00")
    caller = Caller(gateway, house.http, "rest", partner.secret_key)
    provider_event = new_id("evt")
    async with receiving() as receiver:
        await gateway.internal.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=f"{receiver.url}/hook")
        )
        quoted = await caller.create_quote(clientReference=f"ref {partner.organization_id}")
        waiting = await find(gateway, quoted.body["quoteId"])
        assert [one.what for one in waiting.awaited] == ["the quote's acceptance"]
        assert waiting.awaited[0].HasField("due_time")
        accepted = await caller.transact(quoted.body["quoteId"], f"key {partner.organization_id}")
        trade = accepted.body
        waiting = await find(gateway, trade["transactId"])
        assert {one.what for one in waiting.awaited} >= {
            "a settlement report", "the trade's end, which ends the hold",
        }  # fmt: skip
        await house.report(
            trade["transactId"],
            "settled",
            eventId=provider_event,
            networkTransactionId="0xabc",
            cryptoCurrency="USDT",
            cryptoAmount=trade["cryptoAmount"],
        )
        await eventually(lambda: len(receiver.received) == 1, "the webhook arrives")

    async def told() -> admin_pb2.FindJourneyResponse | None:
        found = await find(gateway, trade["transactId"])
        # The request log is written a moment after the answers, and events are taken by three consumers.
        calls = {record.facts["operation"] for record in found.records if record.kind == "api_call"}
        return found if calls == {"create_quote", "transact"} and len(found.awaited) == 1 else None

    whole = await eventually(told, "everything is on record")
    assert whole.missing_services == whole.truncated_services == []
    assert whole.awaited[0].what.startswith("the daily close of ")
    times = [(record.record_time.seconds, record.record_time.nanos) for record in whole.records]
    assert times == sorted(times)
    first = whole.records[0]
    assert (first.service, first.kind, first.facts["operation"]) == ("gateway", "api_call", "create_quote")
    assert {call.facts["key_label"] for call in told_of(whole, "gateway", "api_call")} == {"Checkout"}
    assert all(len(record.traceparent) == 55 for record in whole.records), "each row says which operation wrote it"
    record = {name: getattr(whole.record, name) for name in FIELDS}
    assert record == {
        "product_area": "Checkout",
        "partner_reference": f"ref {partner.organization_id}",
        "pool_id": "EUR-USDT",
        "quote_id": trade["quoteId"],
        "transact_id": trade["transactId"],
        "status": "settled",
        "request_id": accepted.request_id,
        "reconciliation_state": "open",
    }
    assert len(whole.trace_ids) == len(set(whole.trace_ids)) > 0
    assert [field.name for field in admin_pb2.ProductRecord.DESCRIPTOR.fields] == list(FIELDS)

    # Every state of what has states, and not the last alone.
    assert [one.entered_state for one in told_of(whole, "quote", "quote")] == ["active"]
    assert [one.entered_state for one in told_of(whole, "quote", "consumption")] == ["consumed"]
    assert [one.facts["status"] for one in told_of(whole, "trade", "transition")] == ["reserved", "settled"]
    placed, consumed = told_of(whole, "ledger", "hold")
    assert (placed.entered_state, consumed.entered_state) == ("placed", "consumed")
    settled = event_id(trade["transactId"], "pool.transaction.settled")
    transition = told_of(whole, "trade", "transition")[1]
    assert (consumed.ids["event"], consumed.traceparent[:35]) == (settled, transition.traceparent[:35])
    [webhook] = told_of(whole, "webhook-ingest", "webhook_in")
    assert webhook.facts["signature_result"] == "valid"
    [tried] = told_of(whole, "webhook-ingest", "attempt")
    assert tried.facts["effect"] == "applied"
    for service in ("gateway", "ledger", "quote"):
        [event] = told_of(whole, service, "event")
        assert event.facts["topic"] == "pools.trade.terminal.v1"
        assert event.facts["partition"].isdecimal()
        assert event.facts["offset"].isdecimal()
    [delivery] = told_of(whole, "gateway", "delivery")
    [attempt] = told_of(whole, "gateway", "attempt")
    assert (delivery.facts["state"], attempt.facts["status_code"]) == ("delivered", "200")

    entries = told_of(whole, "ledger", "entry")
    ids = {
        trade["quoteId"],
        accepted.request_id,
        quoted.request_id,
        f"ref {partner.organization_id}",
        f"key {partner.organization_id}",
        settled,
        event_id(trade["transactId"], "pool.transaction.reserved"),
        provider_event,
        delivery.record_id,
        webhook.record_id,
        placed.record_id,
        entries[0].ids["ledger_transaction"],
        *(entry.record_id for entry in entries),
    }
    assert len(ids) == 18
    for wanted in sorted(ids):
        found = await find(gateway, wanted)
        assert found.record == whole.record, wanted
        assert lines(found) == lines(whole), wanted


async def test_a_reference_that_comes_again_lists_its_journeys_newest_first_and_page_by_page(house: House) -> None:
    partner = await house.onboard("Checkout", money="1000.00")
    caller = Caller(house.gateway, house.http, "rest", partner.secret_key)
    reference = f"again {partner.organization_id}"
    quoted = [(await caller.create_quote(clientReference=reference)).body["quoteId"] for _ in range(5)]
    accepted = (await caller.transact(quoted[1], "key 1")).body

    async def logged() -> bool:
        page = await find(house.gateway, reference)
        return [one.record.product_area for one in page.journeys] == ["Checkout"] * 5

    await eventually(logged, "the calls are on record")
    pages, token = [], ""
    while not pages or token:
        page = await house.gateway.internal.support.FindJourney(
            admin_pb2.FindJourneyRequest(id=reference, page_size=2, page_token=token)
        )
        pages.append([one.record.quote_id for one in page.journeys])
        token = page.next_page_token
        assert (len(page.records), page.HasField("record"), list(page.missing_services)) == (0, False, [])
    newest = quoted[::-1]
    assert pages == [newest[:2], newest[2:4], newest[4:]]
    told = {one.record.quote_id: one for one in (await find(house.gateway, reference)).journeys}
    assert (told[quoted[1]].record.transact_id, told[quoted[1]].record.status) == (accepted["transactId"], "reserved")
    assert (told[quoted[0]].record.transact_id, told[quoted[0]].record.status) == ("", "active")
    assert {(one.organization_id, one.fiat.amount, one.crypto.currency) for one in told.values()} == {
        (partner.organization_id, "100.00", "USDT")
    }
    for token in ("not a token", "cHFfeA=="):
        with pytest.raises(InvalidRequest, match="page_token"):
            await house.gateway.internal.support.FindJourney(
                admin_pb2.FindJourneyRequest(id=reference, page_token=token)
            )


async def test_journeys_of_a_reference_are_listed_without_an_owner_that_is_down_which_is_named(
    house: House, postgres: RunningPostgres
) -> None:
    caller = Caller(house.gateway, house.http, "rest", (await house.onboard(money="1000.00")).secret_key)
    quoted = [(await caller.create_quote(clientReference="without quote")).body["quoteId"] for _ in range(2)]
    trades = [(await caller.transact(quote_id, quote_id)).body["transactId"] for quote_id in quoted]
    async with AsyncExitStack() as stack:
        known = house.gateway.runtime.settings.trade_address
        page = await find(await start_gateway(stack, postgres, trade_address=known), "without quote")
    assert [one.record.transact_id for one in page.journeys] == trades[::-1]
    assert list(page.missing_services) == ["quote"]


async def test_a_refused_transact_and_the_state_that_followed_are_told_apart(house: House) -> None:
    partner = await house.onboard("Poor", money="1.00")
    caller = Caller(house.gateway, house.http, "rest", partner.secret_key)
    quoted = await caller.create_quote()
    refused = await caller.transact(quoted.body["quoteId"], "key 1")
    assert refused.code == "insufficient_balance"

    async def told() -> admin_pb2.FindJourneyResponse | None:
        found = await find(house.gateway, quoted.body["quoteId"])
        outcomes = [call.facts["outcome"] for call in told_of(found, "gateway", "api_call")]
        return found if outcomes == ["ok", "insufficient_balance"] else None

    found = await eventually(told, "both calls are on record")
    assert [one.entered_state for one in told_of(found, "trade", "intent")] == ["asked", "declined"]
    assert [one.entered_state for one in told_of(found, "quote", "consumption")] == ["consumed", "given_back"]
    assert [one.entered_state for one in told_of(found, "ledger", "hold")] == ["refused"]
    assert found.record.status == "active"


async def test_a_quote_without_a_trade_has_a_journey_too(house: House) -> None:
    partner = await house.onboard("Prices")
    caller = Caller(house.gateway, house.http, "grpc", partner.secret_key)
    quoted = await caller.create_quote(clientReference="just looking")
    quote_id = quoted.body.quote.quote_id

    async def logged() -> bool:
        return ("gateway", "api_call") in kinds(await find(house.gateway, quote_id))

    await eventually(logged, "the call is on record")
    record = (await find(house.gateway, quote_id)).record
    assert (record.product_area, record.quote_id, record.transact_id) == ("Prices", quote_id, "")
    assert (record.status, record.request_id) == ("active", quoted.request_id)


async def test_one_partners_reference_does_not_lead_into_anothers_trades(house: House) -> None:
    callers = [
        Caller(house.gateway, house.http, "rest", (await house.onboard(money="1000.00")).secret_key) for _ in range(2)
    ]
    trades = []
    for caller in callers:
        quoted = await caller.create_quote(clientReference="order 1 of many")
        trades.append((await caller.transact(quoted.body["quoteId"], "the same key")).body["transactId"])
    found = await find(house.gateway, trades[0])
    assert {record.ids["trade"] for record in found.records if "trade" in record.ids} == {trades[0]}
    for repeated in ("order 1 of many", "the same key"):
        both = await find(house.gateway, repeated)
        assert [summary.record.transact_id for summary in both.journeys] == trades[::-1], repeated
        assert not both.records


async def test_an_owner_that_is_down_is_named_and_the_rest_is_told(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    answer = await Caller(alone, http, "rest", (await alone.new_partner()).secret_key).transact("pq_test_x", "k")

    async def logged() -> bool:
        return len((await find(alone, answer.request_id)).records) == 1

    await eventually(logged, "the call is on record")
    found = await find(alone, answer.request_id)
    assert list(found.missing_services) == ["ledger", "quote", "trade", "webhook-ingest"]
    assert not found.HasField("record")
    # What nobody could look for is not said to be unknown.
    assert list((await find(alone, "req_nobody")).records) == []


async def test_an_owner_that_is_silent_is_waited_for_so_long_and_asked_no_more(
    postgres: RunningPostgres, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.journey.ANSWER_SECONDS_MAX", 0.3)
    asked = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await reader.read()
        writer.close()

    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        gateway = await start_gateway(stack, postgres, trade_address=f"127.0.0.1:{port}")
        began = time.monotonic()
        found = await find(gateway, "req_nobody")
        # One question, of three that there are, and room for a busy machine.
        assert time.monotonic() - began < 3.0
        assert "trade" in found.missing_services
        assert asked


async def test_an_id_that_nobody_knows_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        await find(house.gateway, new_id("pt", "test"))


async def test_what_is_no_question_is_refused(alone: RunningGateway) -> None:
    for wanted in ("", "x" * 256, "a\x00b"):
        with pytest.raises(InvalidRequest):
            await find(alone, wanted)
    for ids, page_size in (([], 0), (["x"] * 101, 0), (["x"], -1), (["x"], 1001)):
        with pytest.raises(InvalidRequest):
            await alone.internal.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=ids, page_size=page_size))
