"""Terminal events: each draws or frees committed inventory once, in whatever order and however often it comes."""

import asyncio
from decimal import Decimal
from itertools import permutations

import pytest

from quote.app.apply_terminal_events import InapplicableEventError, apply_terminal_events
from quote.domain.inventory import Ending
from quote.domain.pools import Side
from quote.domain.quotes import UnavailableQuote
from tests.integration.quote.desk import POOL, Desk

BOUGHT = Decimal("107.904009")
START = Decimal(100_000)


@pytest.mark.parametrize(
    ("ending", "total"), [(Ending.SETTLED, START - BOUGHT), (Ending.FAILED, START), (Ending.RELEASED, START)]
)
async def test_end_of_a_purchase_draws_or_frees_crypto_once(desk: Desk, ending: Ending, total: Decimal) -> None:
    await desk.open()
    taken = await desk.consumed()
    for _ in range(3):
        await desk.end(taken.trade_id, ending, ending)
    await asyncio.gather(*(desk.end(taken.trade_id, ending) for _ in range(5)))
    assert await desk.amounts() == (total, 0, 0)
    assert await desk.amounts("EUR") == (START, 0, 0)
    await desk.assert_adds_up()


@pytest.mark.parametrize(
    ("ending", "crypto", "fiat"),
    [
        (Ending.SETTLED, START + 100, START - Decimal("91.65")),
        (Ending.FAILED, START, START),
        (Ending.RELEASED, START, START),
    ],
)
async def test_end_of_a_sale_pays_fiat_out_and_takes_crypto_in(
    desk: Desk, ending: Ending, crypto: Decimal, fiat: Decimal
) -> None:
    await desk.open()
    taken = await desk.consumed("100", "USDT", side=Side.OFF_RAMP)
    await desk.end(taken.trade_id, ending)
    assert await desk.amounts() == (crypto, 0, 0)
    assert await desk.amounts("EUR") == (fiat, 0, 0)
    await desk.assert_adds_up()


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("order", list(permutations([Ending.SETTLED, Ending.RETURNED])))
@pytest.mark.parametrize("together", [True, False])
async def test_returned_mirrors_settled_in_either_order(
    desk: Desk, side: Side, order: tuple[Ending, ...], together: bool
) -> None:
    await desk.open()
    taken = await desk.consumed(side=side)
    if together:
        await desk.end(taken.trade_id, *order, *order)
    else:
        for ending in order * 2:
            await desk.end(taken.trade_id, ending)
            await desk.assert_adds_up()
    assert await desk.amounts() == (START, 0, 0)
    assert await desk.amounts("EUR") == (START, 0, 0)
    await desk.assert_adds_up()


async def test_sale_returned_after_its_crypto_was_promised_on_is_owed_until_inventory_comes_in(desk: Desk) -> None:
    await desk.open(crypto="0")
    sale = await desk.consumed("100", "USDT", side=Side.OFF_RAMP)
    await desk.end(sale.trade_id, Ending.SETTLED)
    purchase = await desk.consumed("90", "USDT")
    await desk.end(sale.trade_id, Ending.RETURNED)
    row = await desk.stock()
    assert (row.total, row.committed, row.owed, row.free) == (90, 90, 90, -90)
    await desk.assert_adds_up()
    # The promise to the buyer stands, and nobody is promised more.
    for firm in (True, False):
        [answer] = await desk.place([desk.order("2", "USDT", firm=firm)])
        assert isinstance(answer, UnavailableQuote)
    await desk.end(purchase.trade_id, Ending.FAILED)
    row = await desk.stock()
    assert (row.total, row.owed, row.free) == (0, 0, 0)
    await desk.move("10")
    assert (await desk.stock()).free == 10
    await desk.assert_adds_up()


@pytest.mark.parametrize("earlier", ["nothing", "given_back", "refused"])
async def test_event_of_a_trade_that_consumed_nothing_is_set_aside(desk: Desk, earlier: str) -> None:
    await desk.open()
    attempt = desk.attempt(await desk.quote())
    if earlier == "given_back":
        await desk.consume(attempt)
        await desk.give_back(attempt)
    elif earlier == "refused":
        await desk.consume(desk.attempt(attempt.quote_id))
        await desk.consume(attempt)
    with pytest.raises(InapplicableEventError, match="consumed_nothing"):
        await desk.end(attempt.trade_id, Ending.SETTLED)
    await desk.assert_adds_up()


async def test_second_end_of_a_trade_is_set_aside_and_takes_nothing_with_it(desk: Desk) -> None:
    await desk.open()
    one, other = await desk.consumed(), await desk.consumed()
    await desk.end(one.trade_id, Ending.SETTLED)
    events = [desk.event(other.trade_id, Ending.SETTLED), desk.event(one.trade_id, Ending.FAILED)]
    with pytest.raises(InapplicableEventError, match="contradicts_earlier_event"):
        await apply_terminal_events(desk.database, events)
    assert await desk.amounts() == (START - BOUGHT, 0, BOUGHT)
    await apply_terminal_events(desk.database, events[:1])
    assert await desk.amounts() == (START - 2 * BOUGHT, 0, 0)
    await desk.assert_adds_up()


async def test_inventory_by_business_date_can_be_told_from_what_is_kept(desk: Desk) -> None:
    await desk.open()
    taken = await desk.consumed()
    await desk.end(taken.trade_id, Ending.SETTLED)
    total = await desk.admin.fetch_value(
        "SELECT sum(crypto_total) FROM terminal_events WHERE pool_id = $1 AND business_date = '2026-11-22'", POOL
    )
    assert total == -BOUGHT
