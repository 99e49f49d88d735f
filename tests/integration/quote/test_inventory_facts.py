"""The daily close gets what lay in each pool at the end of a date, whenever the events of that date came."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from poolkit.errors import InvalidRequest
from pools.quote.v1 import inventory_facts_pb2
from pools.types.v1 import types_pb2
from pools_contracts.quote import QuoteClient
from quote.app.apply_terminal_events import apply_terminal_events
from quote.domain.inventory import Ending
from quote.domain.pools import Side
from tests.integration.quote.desk import POOL, Desk

TODAY = datetime.now(UTC).date()
TOMORROW, THE_DAY_AFTER = TODAY + timedelta(days=1), TODAY + timedelta(days=2)
CONTEXT = types_pb2.RequestContext(mode=types_pb2.MODE_TEST, request_id="req_close")

Totals = dict[tuple[str, str], tuple[str, int, int]]


async def totals(client: QuoteClient, business_date: date) -> Totals:
    """By pool and currency: what lay there, how many movements made it, and how many of them were of the date."""
    request = inventory_facts_pb2.GetInventoryTotalsRequest(context=CONTEXT, business_date=business_date.isoformat())
    answer = await client.facts.GetInventoryTotals(request)
    return {
        (one.pool_id, one.total.currency): (one.total.amount, one.movement_count, one.date_movement_count)
        for one in answer.totals
    }


async def test_each_event_counts_on_its_own_date_in_whatever_order_it_comes(desk: Desk, client: QuoteClient) -> None:
    await desk.open(crypto="1000", fiat="500")
    bought, failed = await desk.consumed("100.000000", "USDT"), await desk.consumed("50.000000", "USDT")
    sold = await desk.consumed("10.000000", "USDT", side=Side.OFF_RAMP)
    payout = sold.quote.fiat_amount
    crypto, fiat = (POOL, "USDT"), (POOL, "EUR")
    assert await totals(client, TODAY) == {fiat: ("500.00", 1, 1), crypto: ("1000.000000", 1, 1)}

    await apply_terminal_events(
        desk.database,
        [
            # Of the later date first, and the end of a return before its beginning.
            desk.event(bought.trade_id, Ending.RETURNED, THE_DAY_AFTER),
            desk.event(sold.trade_id, Ending.SETTLED, TOMORROW),
            desk.event(failed.trade_id, Ending.FAILED, TOMORROW),
        ],
    )
    settled = desk.event(bought.trade_id, Ending.SETTLED, TODAY)
    for _ in range(2):
        # Late for its date, and told twice.
        await apply_terminal_events(desk.database, [settled])
    assert (await totals(client, TODAY))[crypto] == ("900.000000", 2, 2)
    assert await totals(client, TOMORROW) == {
        crypto: ("910.000000", 3, 1),
        fiat: (str(Decimal("500.00") - payout), 2, 1),
    }
    assert (await totals(client, THE_DAY_AFTER))[crypto] == ("1010.000000", 4, 1)
    await desk.move("-10", "USDT")
    assert (await totals(client, TODAY))[crypto] == ("890.000000", 3, 3)
    assert await totals(client, TODAY - timedelta(days=1)) == {}
    await desk.assert_adds_up()


async def test_what_was_owed_is_counted_as_gone(desk: Desk, client: QuoteClient) -> None:
    await desk.open(crypto="0", fiat="500")
    sold = await desk.consumed("10.000000", "USDT", side=Side.OFF_RAMP)
    await apply_terminal_events(desk.database, [desk.event(sold.trade_id, Ending.SETTLED, TODAY)])
    await desk.consumed("8.000000", "USDT")
    await apply_terminal_events(desk.database, [desk.event(sold.trade_id, Ending.RETURNED, TODAY)])
    stock = await desk.stock("USDT")
    assert (stock.total, stock.owed) == (Decimal(8), Decimal(8))
    assert (await totals(client, TODAY))[POOL, "USDT"] == ("0.000000", 2, 2)
    await desk.assert_adds_up()


@pytest.mark.parametrize("wrong", ["", "yesterday", "2026-02-30", "2026-1-1"])
async def test_what_is_no_date_is_refused(client: QuoteClient, wrong: str) -> None:
    request = inventory_facts_pb2.GetInventoryTotalsRequest(context=CONTEXT, business_date=wrong)
    with pytest.raises(InvalidRequest):
        await client.facts.GetInventoryTotals(request)
