"""Calls that are gathered fail alone: what one of them runs into makes nobody's quote a second time."""

import asyncio

import pytest

from poolkit.database import Database
from poolkit.errors import DomainError
from quote.app.create_quotes import PlacedOrder
from quote.app.quote_maker import QuoteMaker
from quote.domain.quotes import Quote
from tests.integration.quote.desk import POOL, Desk

OTHER_POOL = "GBP-USDT"


@pytest.mark.parametrize("orders", [1, 3])
async def test_a_call_that_waits_in_vain_leaves_its_neighbours_quotes_made_once(desk: Desk, orders: int) -> None:
    await desk.open(crypto="107.904009")
    await desk.publish(OTHER_POOL)
    await desk.move("100000", pool_id=OTHER_POOL)
    expired = await desk.quote("100.00")
    await desk.expire(expired)
    impatient = Database(desk.url, application_name="test", statement_timeout_ms=200)
    make = QuoteMaker(impatient, "test")
    dry = [PlacedOrder(desk.context("org_1"), desk.order("100.00"))]
    fitting = [PlacedOrder(desk.context("org_2"), desk.order("100.00", "GBP", pool_id=OTHER_POOL))] * orders
    async with desk.admin.transaction() as unit:
        # Somebody is deciding on the expired quote, and does not come to an end.
        await unit.fetch("SELECT FROM quote_holds WHERE quote_id = $1 FOR UPDATE", expired.quote_id)
        in_vain, made = await asyncio.gather(make(dry), make(fitting), return_exceptions=True)
    await make.drain()
    await impatient.close()
    written = "SELECT count(*) FROM quotes WHERE pool_id = $1"
    assert await desk.admin.fetch_value(written, OTHER_POOL) == orders
    assert await desk.admin.fetch_value(written, POOL) == 1
    assert isinstance(made, list)
    assert all(isinstance(answer, Quote) for answer in made)
    assert isinstance(in_vain, list)
    assert [answer.code for answer in in_vain if isinstance(answer, DomainError)] == ["unavailable"]
    await desk.assert_adds_up()
