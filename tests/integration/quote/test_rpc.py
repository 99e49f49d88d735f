"""Quotes as colleagues ask for them: items answered in order, each alone; nothing sent can break a batch."""

import asyncio

import pytest

from poolkit.errors import InvalidRequest
from pools.quote.v1 import quote_pb2
from pools.types.v1 import journey_pb2, types_pb2
from pools_contracts.quote import QuoteClient
from tests.integration.quote.calls import consume, context, create, create_item
from tests.integration.quote.desk import Desk


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
    # What was not asked for has its currency, and no amount.
    assert (firm.fiat.amount, firm.crypto.amount, firm.crypto.currency) == ("100.00", "", "USDT")
    assert (price_only.crypto.amount, price_only.fiat.amount, price_only.fiat.currency) == ("5.000000", "", "EUR")


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


async def test_callers_at_once_share_transactions_and_get_each_their_own_answers(
    desk: Desk, client: QuoteClient
) -> None:
    await desk.open()

    async def call(number: int) -> None:
        own = context(organization_id=f"org_{number % 7}")
        amounts = [
            types_pb2.Money(amount=f"{number + 1}.{index:02}", currency="EUR") for index in range(number % 3 + 1)
        ]
        results = await create(client, *(create_item(context=own, amount=amount) for amount in amounts))
        assert [result.quote.fiat for result in results] == amounts
        references = [quote_pb2.QuoteReference(context=own, quote_id=result.quote.quote_id) for result in results]
        read = await client.quote.GetQuotes(quote_pb2.GetQuotesRequest(items=references))
        assert [result.quote for result in read.results] == [result.quote for result in results]

    await asyncio.gather(*(call(number) for number in range(100)))
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
