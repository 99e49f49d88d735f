"""The service as its colleagues call it: items answered in order, each alone; nothing sent can break a batch."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from poolkit.errors import InvalidRequest
from poolkit.rpc.channels import open_channel
from poolkit.rpc.server import RpcServer
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from pools.types.v1 import journey_pb2, journey_pb2_grpc, types_pb2
from pools_contracts.quote import QuoteClient
from quote.api.admin_service import QuoteAdminService
from quote.api.journey_service import JourneyService
from quote.api.quote_service import QuoteService
from quote.domain.inventory import Ending
from quote.outbound.events import TreasuryEvents
from tests.integration.quote.desk import TRACEPARENT, Desk


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[QuoteClient]:
    """The stubs, over a real server on loopback."""
    server = RpcServer("127.0.0.1:0", name="internal")
    admin = QuoteAdminService(desk.database, "test", TreasuryEvents("test"))
    server.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, QuoteService(desk.database, "test"))
    server.add(quote_pb2_grpc.add_QuoteAdminServiceServicer_to_server, admin)
    server.add(journey_pb2_grpc.add_JourneyServiceServicer_to_server, JourneyService(desk.database))
    channel = open_channel(f"127.0.0.1:{await server.start()}", "test")
    yield QuoteClient(channel)
    await channel.close()
    await server.stop(0)


def context(**changes: Any) -> types_pb2.RequestContext:
    fields: dict[str, Any] = {
        "request_id": "req_1", "organization_id": "org_1", "mode": types_pb2.MODE_TEST, "traceparent": TRACEPARENT,
    }  # fmt: skip
    return types_pb2.RequestContext(**(fields | changes))


def create_item(**changes: Any) -> quote_pb2.CreateQuotesItem:
    fields: dict[str, Any] = {
        "context": context(),
        "pool_id": "EUR-USDT",
        "side": types_pb2.SIDE_ON_RAMP,
        "amount": types_pb2.Money(amount="100.00", currency="EUR"),
        "network": "tron",
        "destination_address": "TQabcdefgh0001",
        "client_reference": "order_1",
        "tier": "standard",
    }
    return quote_pb2.CreateQuotesItem(**(fields | changes))


async def create(client: QuoteClient, *items: quote_pb2.CreateQuotesItem) -> list[quote_pb2.QuoteResult]:
    response = await client.quote.CreateQuotes(quote_pb2.CreateQuotesRequest(items=items))
    return list(response.results)


async def consume(client: QuoteClient, quote_id: str, trade_id: str, **changes: Any) -> quote_pb2.QuoteResult:
    fields: dict[str, Any] = {
        "context": context(), "quote_id": quote_id, "trade_id": trade_id, "pool_id": "EUR-USDT",
    }  # fmt: skip
    item = quote_pb2.ConsumeQuotesItem(**(fields | changes))
    response = await client.quote.ConsumeQuotes(quote_pb2.ConsumeQuotesRequest(items=[item]))
    return response.results[0]


async def test_quote_carries_every_locked_term_as_the_contract_writes_it(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    [result] = await create(client, create_item())
    quote = result.quote
    assert (quote.fiat.amount, quote.fiat.currency) == ("100.00", "EUR")
    assert (quote.crypto.amount, quote.crypto.currency) == ("107.904009", "USDT")
    assert (quote.rate, quote.spread_bps, quote.fee_bps) == ("1.085000", 35, 20)
    assert (quote.fee.amount, quote.fee.currency) == ("0.20", "EUR")
    assert (quote.network, quote.destination_address, quote.client_reference) == ("tron", "TQabcdefgh0001", "order_1")
    assert (quote.available, quote.unavailable_reason) == (True, "")
    assert (quote.type, quote.status) == (types_pb2.QUOTE_TYPE_FIRM, types_pb2.QUOTE_STATUS_ACTIVE)
    assert quote.expire_time.ToNanoseconds() - quote.create_time.ToNanoseconds() == 15_000_000_000
    reference = quote_pb2.QuoteReference(context=context(), quote_id=quote.quote_id)
    read = await client.quote.GetQuotes(quote_pb2.GetQuotesRequest(items=[reference]))
    assert read.results[0].quote == quote
    consumed = (await consume(client, quote.quote_id, "pt_test_1")).quote
    assert consumed.status == types_pb2.QUOTE_STATUS_CONSUMED
    consumed.status = quote.status
    assert consumed == quote


async def test_price_that_cannot_be_given_tells_what_was_asked_for_and_why_not(desk: Desk, client: QuoteClient) -> None:
    await desk.publish()
    indicative = create_item(type=types_pb2.QUOTE_TYPE_INDICATIVE, amount=types_pb2.Money(amount="5", currency="USDT"))
    firm, price_only = [result.quote for result in await create(client, create_item(), indicative)]
    for quote in (firm, price_only):
        assert (quote.available, quote.unavailable_reason, quote.quote_id) == (False, "pool_dry", "")
        assert (quote.rate, quote.HasField("fee"), quote.HasField("expire_time")) == ("", False, False)
        assert quote.pool_id == "EUR-USDT"
    assert (firm.fiat.amount, firm.HasField("crypto")) == ("100.00", False)
    assert (price_only.crypto.amount, price_only.HasField("fiat")) == ("5", False)


BAD_ITEMS = [
    (create_item(context=context(mode=types_pb2.MODE_LIVE)), "invalid_request", "context.mode"),
    (create_item(context=context(mode=types_pb2.MODE_UNSPECIFIED)), "invalid_request", "context.mode"),
    (create_item(context=context(organization_id="")), "invalid_request", "context.organization_id"),
    (create_item(context=context(request_id="a\x00")), "invalid_request", "context.request_id"),
    (create_item(context=context(traceparent="0" * 129)), "invalid_request", "context.traceparent"),
    (create_item(pool_id="EUR\x00USDT"), "not_found", ""),
    (create_item(pool_id="E" * 10_000), "not_found", ""),
    (create_item(tier="\x00"), "invalid_request", "tier"),
    (create_item(tier=""), "invalid_request", "tier"),
    (create_item(side=types_pb2.SIDE_UNSPECIFIED), "invalid_request", "side"),
    (create_item(network="\x00"), "invalid_request", "network"),
    (create_item(destination_address="\x00abcd"), "invalid_request", "destinationAddress"),
    (create_item(client_reference="\x00"), "invalid_request", "clientReference"),
    (create_item(amount=types_pb2.Money(amount="1\x00", currency="EUR")), "invalid_request", "amount"),
    (create_item(amount=types_pb2.Money(amount="1" * 100_000, currency="EUR")), "invalid_request", "amount"),
    (create_item(amount=types_pb2.Money(amount="1.00", currency="\x00")), "invalid_request", "amountCurrency"),
    (create_item(amount=types_pb2.Money(amount="999999999999999999.99", currency="EUR")), "invalid_request", "amount"),
]


async def test_item_that_makes_no_sense_is_refused_and_harms_no_other(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    results = await create(client, create_item(), *(item for item, _, _ in BAD_ITEMS), create_item())
    for (item, reason, field), result in zip(BAD_ITEMS, results[1:-1], strict=True):
        assert (result.refusal.reason, result.refusal.metadata.get("field", "")) == (reason, field), item
    assert all(results[index].quote.available for index in (0, -1))
    await desk.assert_adds_up()


@pytest.mark.parametrize("bad", ["", "\x00", "p" * 5_000])
async def test_id_that_can_be_nobody_s_is_absent(desk: Desk, client: QuoteClient, bad: str) -> None:
    await desk.open()
    [made] = await create(client, create_item())
    reference = quote_pb2.QuoteReference(context=context(), quote_id=bad)
    own = quote_pb2.QuoteReference(context=context(), quote_id=made.quote.quote_id)
    read = await client.quote.GetQuotes(quote_pb2.GetQuotesRequest(items=[reference, own]))
    assert (read.results[0].refusal.reason, read.results[1].quote.available) == ("not_found", True)
    rejected = await client.quote.RejectQuotes(quote_pb2.RejectQuotesRequest(items=[reference, own, own]))
    assert [result.refusal.reason for result in rejected.results] == ["not_found", "", "quote_rejected"]
    assert (await consume(client, bad, "pt_test_1")).refusal.reason == "not_found"
    assert (await consume(client, made.quote.quote_id, bad)).refusal.reason == "invalid_request"
    assert (await consume(client, made.quote.quote_id, "pt_test_2", pool_id=bad)).refusal.reason == "not_found"
    journey = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[bad]))
    assert not journey.records


@pytest.mark.parametrize("count", [0, 257])
async def test_batch_without_items_or_with_too_many_is_refused(client: QuoteClient, count: int) -> None:
    with pytest.raises(InvalidRequest):
        await create(client, *[create_item()] * count)


async def test_full_batch_is_answered(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    results = await create(
        client, *(create_item(context=context(organization_id=f"org_{number % 5}")) for number in range(256))
    )
    assert all(result.quote.available for result in results)
    assert len({result.quote.quote_id for result in results}) == 256
    await desk.assert_adds_up()


async def test_give_back_confirms_each_item(desk: Desk, client: QuoteClient) -> None:
    await desk.open()
    [made] = await create(client, create_item())
    await consume(client, made.quote.quote_id, "pt_test_1")
    items = [
        quote_pb2.GiveBackQuotesItem(context=context(), trade_id=trade_id, quote_id=made.quote.quote_id)
        for trade_id in ("pt_test_2", "pt_test_1")
    ]
    for expected in ([False, True], [False, False]):
        response = await client.quote.GiveBackQuotes(quote_pb2.GiveBackQuotesRequest(items=items))
        assert [result.moved for result in response.results] == expected
    refused = await consume(client, made.quote.quote_id, "pt_test_1")
    assert refused.refusal.reason == "attempt_undone"
    with pytest.raises(InvalidRequest):
        await client.quote.GiveBackQuotes(
            quote_pb2.GiveBackQuotesRequest(items=[quote_pb2.GiveBackQuotesItem(context=context(mode=0))])
        )


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
            ("quote", "consumed"),
            ("quote", "given_back"),
            ("quote", "consumed"),
            ("quote", "refused"),
            ("event", ""),
        ], wanted
    assert {record.service for record in found.records} == {"quote"}
    assert all(record.traceparent == TRACEPARENT for record in found.records)
    assert found.records[0].ids["client_reference"] == "order_9"
    assert found.records[-1].ids["event"] == event_id
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


async def test_every_look_up_of_a_journey_is_on_an_index(desk: Desk) -> None:
    from quote.store import journey

    async with desk.admin.transaction() as unit:
        # A plan that could use an index scans a whole table only where it has none.
        await unit.execute("SET LOCAL enable_seqscan = off")
        for statement, limited in (
            (journey._QUOTE_IDS, True),
            (journey._MOVEMENTS, True),
            (journey._QUOTES, False),
            (journey._CONSUMPTIONS, False),
            (journey._TERMINAL_EVENTS, False),
        ):
            limit = [10] if limited else []
            plan = "\n".join(row[0] for row in await unit.fetch("EXPLAIN " + statement, ["pq_1"], *limit))
            assert "Seq Scan" not in plan, plan
