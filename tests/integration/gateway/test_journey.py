"""Support search: one id of any kind gives the whole journey, joined from every owner in time order."""

import httpx
import pytest

from poolkit.errors import InvalidRequest, NotFound
from poolkit.ids import event_id, new_id
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import journey_pb2
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import RunningGateway
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


async def test_any_id_of_a_settled_trade_leads_to_its_whole_journey(house: House) -> None:
    gateway = house.gateway
    partner = await house.onboard("Checkout", money="1000.00")
    caller = Caller(gateway, house.http, "rest", partner.secret_key)
    async with receiving() as receiver:
        await gateway.internal.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=f"{receiver.url}/hook")
        )
        quoted = await caller.create_quote(clientReference=f"ref {partner.organization_id}")
        accepted = await caller.transact(quoted.body["quoteId"], f"key {partner.organization_id}")
        trade = accepted.body
        await house.report(
            trade["transactId"],
            "settled",
            networkTransactionId="0xabc",
            cryptoCurrency="USDT",
            cryptoAmount=trade["cryptoAmount"],
        )
        await eventually(lambda: len(receiver.received) == 1, "the webhook arrives")

    async def told() -> bool:
        found = await find(gateway, trade["transactId"])
        # The request log is written a moment after the answers.
        calls = {record.facts["operation"] for record in found.records if record.kind == "api_call"}
        return calls == {"create_quote", "transact"} and {("gateway", "attempt"), ("ledger", "entry")} <= kinds(found)

    await eventually(told, "everything is on record")
    whole = await find(gateway, trade["transactId"])
    assert whole.missing_services == []
    owners = {service for service, _ in kinds(whole)}
    assert owners == {"gateway", "quote", "trade", "webhook-ingest", "ledger"}
    times = [(record.record_time.seconds, record.record_time.nanos) for record in whole.records]
    assert times == sorted(times)
    first = whole.records[0]
    assert (first.service, first.kind, first.facts["operation"]) == ("gateway", "api_call", "create_quote")
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

    delivery = next(one for one in whole.records if (one.service, one.kind) == ("gateway", "delivery"))
    webhook = next(one for one in whole.records if one.service == "webhook-ingest" and "webhook" in one.ids)
    ledger_ids = {
        value
        for one in whole.records
        if one.service == "ledger"
        for name, value in one.ids.items()
        if name in ("entry", "hold", "ledger_transaction")
    }
    ids = {
        trade["quoteId"],
        accepted.request_id,
        f"ref {partner.organization_id}",
        f"key {partner.organization_id}",
        event_id(trade["transactId"], "pool.transaction.settled"),
        delivery.record_id,
        webhook.ids["webhook"],
        *ledger_ids,
    }
    assert len(ids) >= 9
    for wanted in sorted(ids):
        found = await find(gateway, wanted)
        assert found.record.transact_id == trade["transactId"], wanted
        assert {service for service, _ in kinds(found)} == owners, wanted


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
