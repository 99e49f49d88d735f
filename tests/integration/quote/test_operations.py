"""What operations, treasury and support ask: lists page by page, refusals by field, journeys by any id."""

from typing import Any

import pytest

from poolkit.errors import InvalidRequest
from pools.quote.v1 import quote_pb2
from pools.types.v1 import journey_pb2, types_pb2
from pools_contracts.quote import QuoteClient
from quote.domain.inventory import Ending
from tests.integration.quote.calls import consume, context, create, create_item
from tests.integration.quote.desk import TRACEPARENT, Desk


async def test_pools_and_inventory_are_listed_page_by_page(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    pools: list[quote_pb2.Pool] = []
    token = ""
    while True:
        page = await client.quote.ListPools(quote_pb2.ListPoolsRequest(page_size=3, page_token=token))
        pools += page.pools
        token = page.next_page_token
        if not token:
            break
    assert [pool.pool_id for pool in pools] == ["EUR-USDC", "EUR-USDT", "GBP-USDT", "USD-USDT"]
    pool = pools[1]
    assert (pool.fiat_currency, pool.crypto_currency, pool.quote_ttl_seconds) == ("EUR", "USDT", 15)
    assert list(pool.supported_networks) == ["tron", "ethereum", "polygon", "base"]
    assert (pool.order_min.amount, pool.order_max.amount) == ("1.00", "50000.00")
    assert pool.tiers[1] == quote_pb2.PoolTier(tier="standard", spread_bps=35, fee_bps=20, active_quotes_max=100)
    assert [pool.available for pool in pools] == [False, True, False, False]

    rows: list[quote_pb2.Inventory] = []
    while True:
        request = quote_pb2.ListInventoryRequest(page_size=3, page_token=token)
        listed = await client.admin.ListInventory(request)
        rows += listed.inventory
        token = listed.next_page_token
        if not token:
            break
    assert len(rows) == 8
    assert [row.total.amount for row in rows if row.pool_id == "EUR-USDT"] == ["100000.00", "100000.000000"]
    with pytest.raises(InvalidRequest):
        await client.admin.ListInventory(quote_pb2.ListInventoryRequest(page_token="nonsense"))
    with pytest.raises(InvalidRequest):
        await client.quote.ListPools(quote_pb2.ListPoolsRequest(page_size=1_001))


@pytest.mark.parametrize(
    ("rate", "accepted"),
    [("1.085", True), ("0", False), ("-1", False), ("1.0000001", False), ("1e3", False), ("1000000000000", False)],
)
async def test_rate_is_a_plain_positive_decimal(client: QuoteClient, rate: str, accepted: bool) -> None:
    proto = quote_pb2.Rate(pool_id="EUR-USDT", rate=rate)
    proto.as_of_time.GetCurrentTime()
    request = quote_pb2.PublishRatesRequest(rates=[proto])
    if accepted:
        assert (await client.admin.PublishRates(request)).accepted_count == 1
        assert (await client.admin.PublishRates(request)).accepted_count == 0
    else:
        with pytest.raises(InvalidRequest) as refused:
            await client.admin.PublishRates(request)
        assert refused.value.field == "rate"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"movement_id": ""}, "invalid_request"),
        ({"movement_id": "m" * 129}, "invalid_request"),
        ({"amount": types_pb2.Money(amount="0", currency="USDT")}, "invalid_request"),
        ({"amount": types_pb2.Money(amount="1.0000001", currency="USDT")}, "invalid_request"),
        ({"amount": types_pb2.Money(amount="1", currency="BTC")}, "invalid_request"),
        ({"amount": types_pb2.Money(amount="1.00", currency="GBP")}, "invalid_request"),
        ({"amount": types_pb2.Money(amount="-1", currency="USDT")}, "invalid_request"),
        ({"pool_id": "EUR-BTC"}, "not_found"),
        ({}, ""),
    ],
)
async def test_treasury_movement_that_makes_no_sense_is_refused(
    client: QuoteClient, changes: dict[str, Any], reason: str
) -> None:
    fields: dict[str, Any] = {
        "context": context(organization_id=""),
        "movement_id": "move_1",
        "pool_id": "EUR-USDT",
        "amount": types_pb2.Money(amount="1000", currency="USDT"),
    }
    movement = quote_pb2.TreasuryMovement(**(fields | changes))
    response = await client.admin.MoveTreasury(quote_pb2.MoveTreasuryRequest(movements=[movement]))
    result = response.results[0]
    assert result.refusal.reason == reason
    if not reason:
        assert result.inventory.total.amount == "1000.000000"


async def test_journey_finds_a_quote_s_whole_story_by_any_of_its_ids(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    [made] = await create(client, create_item(context=context(request_id="req_create"), client_reference="order_9"))
    quote_id = made.quote.quote_id
    undone = quote_pb2.GiveBackQuotesItem(context=context(request_id="req_2"), trade_id="pt_test_1", quote_id=quote_id)
    await consume(client, quote_id, "pt_test_1", context=context(request_id="req_2"))
    await client.quote.GiveBackQuotes(quote_pb2.GiveBackQuotesRequest(items=[undone]))
    await consume(client, quote_id, "pt_test_2", context=context(request_id="req_3"))
    await consume(client, quote_id, "pt_test_3", context=context(request_id="req_4"))
    await desk.end("pt_test_2", Ending.SETTLED)
    event_id = desk.event("pt_test_2", Ending.SETTLED).event_id
    ids = [
        quote_id,
        "req_create",
        "order_9",
        "pt_test_1",
        "req_2",
        "pt_test_2",
        "req_3",
        "pt_test_3",
        "req_4",
        event_id,
    ]
    for wanted in [*([one] for one in ids), ids]:
        found = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=wanted))
        told = [(record.kind, record.facts.get("status", "")) for record in found.records]
        assert told == [
            ("quote", "active"),
            ("consumption", "consumed"),
            ("consumption", "given_back"),
            ("consumption", "consumed"),
            ("consumption", "refused"),
            ("event", ""),
        ], wanted
    assert {record.service for record in found.records} == {"quote"}
    assert all(record.traceparent == TRACEPARENT for record in found.records)
    assert found.records[0].ids["client_reference"] == "order_9"
    assert found.records[-1].ids["event"] == event_id
    came = [found.records[-1].facts[name] for name in ("topic", "partition", "offset")]
    assert came == ["pools.trade.terminal.v1", "3", "17"]
    assert not (await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=["pt_test_4", ""]))).records


async def test_journey_finds_movements_rejections_and_expiries(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    await desk.move("5", movement_id="move_9")
    [movement] = (await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=["move_9"]))).records
    assert (movement.kind, movement.facts["amount"], movement.ids["organization"]) == (
        "event", "5.000000 USDT", "treasury",
    )  # fmt: skip
    rejected, expired = await desk.quote(), await desk.quote()
    await desk.reject(rejected)
    await desk.expire(expired)
    for quote, status in ((rejected, "rejected"), (expired, "expired")):
        found = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[quote.quote_id]))
        assert [record.facts["status"] for record in found.records] == ["active", status]
