"""What operations do: inventory moved once with the event that tells of it, and the newest rate in force."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from poolkit.errors import IdempotencyConflict, InvalidRequest, NotFound
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2
from quote.app.list_pools import is_available, list_pools
from quote.app.publish_rates import PublishedRate, publish_rates
from quote.domain.inventory import Inventory
from tests.integration.quote.desk import POOL, RATE, TRACEPARENT, Desk


async def rate_in_force(desk: Desk) -> Decimal | None:
    listed = await list_pools(desk.database, after="", limit=10)
    return next(pool.rate for pool in listed if pool.pool.pool_id == POOL)


async def test_top_up_is_told_once_in_the_same_transaction(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.move("1000.5", movement_id="move_1") for _ in range(10)))
    assert answers == [Inventory(POOL, "USDT", Decimal("1000.5"), Decimal(0), Decimal(0), Decimal(0))] * 10
    await desk.move("1", movement_id="move_2")
    # The same as before, although more came in since.
    assert await desk.move("1000.5", movement_id="move_1") == answers[0]
    row, _ = await desk.admin.fetch("SELECT * FROM outbox ORDER BY sequence")
    assert row["event_id"] == hashlib.sha256(b"move_1:treasury.moved").hexdigest()
    assert (row["topic"], row["key"], row["type"]) == ("pools.treasury.moved.v1", "treasury", "treasury.moved")
    assert (row["request_id"], row["traceparent"]) == ("req_1", TRACEPARENT)
    event = events_pb2.TreasuryMoved.FromString(row["payload"])
    assert (event.movement_id, event.pool_id) == ("move_1", POOL)
    assert event.amount == types_pb2.Money(amount="1000.500000", currency="USDT")
    header = event.header
    assert (header.event_id, header.type, header.mode) == (row["event_id"], "treasury.moved", types_pb2.MODE_TEST)
    assert (header.organization_id, header.request_id) == ("treasury", "req_1")
    assert header.business_date == row["business_date"].isoformat()
    occurred_at = header.occur_time.ToDatetime(UTC)
    assert occurred_at.date() == row["business_date"]
    assert abs(row["created_at"] - occurred_at) < timedelta(seconds=5)
    await desk.assert_adds_up()


@pytest.mark.parametrize(
    ("amount", "currency", "pool_id"), [("2", "USDT", POOL), ("1", "EUR", POOL), ("1", "USDT", "GBP-USDT")]
)
async def test_movement_id_with_other_fields_is_a_conflict(
    desk: Desk, amount: str, currency: str, pool_id: str
) -> None:
    await desk.move("1", movement_id="move_1")
    assert isinstance(await desk.move(amount, currency, pool_id, movement_id="move_1"), IdempotencyConflict)
    await desk.assert_adds_up()


async def test_what_is_promised_cannot_be_drawn(desk: Desk) -> None:
    await desk.open(crypto="200")
    quote = await desk.quote()
    refused = await desk.move("-92.095992", movement_id="draw")
    assert isinstance(refused, InvalidRequest)
    assert refused.field == "amount"
    assert "92.095991 USDT" in refused.message
    # A refusal binds nothing: the same movement may come again.
    await desk.reject(quote)
    drawn = await desk.move("-92.095992", movement_id="draw")
    assert isinstance(drawn, Inventory)
    assert drawn.total == Decimal("107.904008")
    await desk.assert_adds_up()


async def test_movement_in_an_unknown_pool_or_currency_is_refused(desk: Desk) -> None:
    assert isinstance(await desk.move("1", pool_id="EUR-BTC"), NotFound)
    assert isinstance(await desk.move("1", currency="GBP"), InvalidRequest)
    assert await desk.admin.fetch_value("SELECT count(*) FROM outbox") == 0


async def test_newest_rate_wins_in_whatever_order_rates_arrive(desk: Desk) -> None:
    now = datetime.now(UTC)
    rates = [PublishedRate(POOL, Decimal(1) + n, now - timedelta(seconds=10 - n)) for n in range(8)]
    for rate in (rates[3], rates[1], rates[5], rates[5], rates[0]):
        await publish_rates(desk.database, [rate], traceparent=TRACEPARENT)
    assert await rate_in_force(desk) == 6
    together = [rates[4], rates[7], rates[6], replace(rates[7], pool_id="EUR-BTC")]
    assert await publish_rates(desk.database, together, traceparent=TRACEPARENT) == 1
    assert await rate_in_force(desk) == 8
    await asyncio.gather(*(publish_rates(desk.database, [rate], traceparent=TRACEPARENT) for rate in rates))
    assert await rate_in_force(desk) == 8


async def test_rate_of_a_clock_far_ahead_is_not_taken_and_shuts_out_no_true_one(desk: Desk) -> None:
    now = datetime.now(UTC)
    ahead = PublishedRate(POOL, Decimal(2), now + timedelta(hours=1))
    assert await publish_rates(desk.database, [ahead], traceparent=TRACEPARENT) == 0
    assert await rate_in_force(desk) is None
    assert await publish_rates(desk.database, [PublishedRate(POOL, RATE, now)], traceparent=TRACEPARENT) == 1
    assert await rate_in_force(desk) == RATE


async def test_rate_of_a_clock_a_little_ahead_ages_from_its_arrival(desk: Desk) -> None:
    rate = PublishedRate(POOL, RATE, datetime.now(UTC) + timedelta(seconds=4))
    assert await publish_rates(desk.database, [rate], traceparent=TRACEPARENT) == 1
    await desk.admin.execute(
        "UPDATE rates SET as_of = as_of + interval '1 day', received_at = now() - interval '1 min'"
    )
    assert await rate_in_force(desk) is None


async def test_pool_is_available_with_a_fresh_rate_and_inventory_for_the_smallest_order(desk: Desk) -> None:
    async def available() -> bool:
        listed = await list_pools(desk.database, after="EUR-USDC", limit=1)
        return is_available(listed[0])

    assert not await available()
    await desk.publish()
    assert not await available()
    await desk.move("1.072000")
    assert not await available()
    await desk.move("0.000001")
    assert await available()
    await desk.admin.execute("UPDATE rates SET as_of = as_of - interval '61 seconds'")
    assert not await available()
