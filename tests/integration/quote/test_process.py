"""The service as a process: it works from its environment alone, and a kill at its worst moments loses nothing."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import grpc
import pytest

from poolctl.stack.kafka import Kafka
from poolkit.errors import QuoteConsumed
from poolkit.ids import event_id, new_id
from poolkit.kafka import TRADE_TERMINAL, TREASURY_MOVED, Message, Producer, ensure_topics, topic
from pools.events.v1 import events_pb2
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from quote.domain.quotes import Quote, Status
from tests.integration.poolkit.events import read_all
from tests.integration.quote.calls import consume, context, create, create_item
from tests.integration.quote.desk import TRACEPARENT, Consumed, Desk
from tests.integration.quote.process import Running, quote_service
from tests.waiting import eventually

Condition = Callable[[], Awaitable[bool]]
BOUGHT = Decimal("107.904009")


@pytest.fixture(autouse=True)
async def long_lived_quotes(desk: Desk) -> None:
    """Starting a process takes seconds, which no quote of these tests should run out of."""
    await desk.set_pool(quote_ttl_ms=600_000)


@pytest.fixture
async def producer(kafka: Kafka) -> AsyncIterator[Producer]:
    await ensure_topics(kafka.bootstrap, "test")
    opened = Producer(kafka.bootstrap, client_id="test")
    yield opened
    await opened.stop()


def settled(taken: Consumed) -> Message:
    """What the trade service tells when the trade is settled."""
    kind = "pool.transaction.settled"
    header = events_pb2.EventHeader(
        event_id=event_id(taken.trade_id, kind),
        type=kind,
        mode=types_pb2.MODE_TEST,
        organization_id=taken.quote.organization_id,
        request_id="req_1",
        business_date="2026-11-22",
    )
    trade = types_pb2.Trade(transact_id=taken.trade_id, status=types_pb2.TRADE_STATUS_SETTLED)
    event = events_pb2.TradeTerminal(header=header, trade=trade, number=1)
    headers = {
        "event-id": header.event_id, "type": kind, "schema": TRADE_TERMINAL, "request-id": "req_1",
        "traceparent": TRACEPARENT, "mode": "test",
    }  # fmt: skip
    return Message(
        topic(TRADE_TERMINAL, "test"),
        header.organization_id.encode(),
        event.SerializeToString(),
        [(name, value.encode()) for name, value in headers.items()],
    )


async def test_started_from_its_environment_it_quotes_publishes_follows_and_sweeps(
    desk: Desk, kafka: Kafka, producer: Producer
) -> None:
    await desk.publish()
    async with quote_service(desk.url, kafka.bootstrap, POOLS_SWEEP_INTERVAL_SECONDS="0.05") as service:
        movement = quote_pb2.TreasuryMovement(
            context=context(),
            movement_id=new_id("evt"),
            pool_id="EUR-USDT",
            amount=types_pb2.Money(amount="1000", currency="USDT"),
        )
        moved = await service.client.admin.MoveTreasury(quote_pb2.MoveTreasuryRequest(movements=[movement]))
        assert moved.results[0].inventory.total.amount == "1000.000000"
        [made] = await create(service.client, create_item())
        assert made.quote.available

        async def told() -> bool:
            messages = await read_all(kafka.bootstrap, topic(TREASURY_MOVED, "test"))
            events = [events_pb2.TreasuryMoved.FromString(message.value) for message in messages]
            return movement.movement_id in [event.movement_id for event in events]

        await eventually(told, "the top-up is on its topic")
        await eventually(drawn_after_settling(desk, producer), "settled trades draw inventory")
        await desk.expire(await desk.quote())
        await eventually(held_is(desk, Decimal(made.quote.crypto.amount)), "expired quotes are swept")
        service.process.send_signal(signal.SIGTERM)
        assert await service.ended() == 0
    await desk.assert_adds_up()


def held_is(desk: Desk, held: Decimal) -> Condition:
    async def holds() -> bool:
        return (await desk.stock()).held == held

    return holds


def drawn_after_settling(desk: Desk, producer: Producer) -> Condition:
    taken: list[Consumed] = []

    async def drawn() -> bool:
        if not taken:
            taken.append(await desk.consumed())
            # Twice: it is applied once.
            assert await producer.send_all([settled(taken[0]), settled(taken[0])]) == [None, None]
        return await desk.amounts() == (1000 - BOUGHT, BOUGHT, 0)

    return drawn


async def killed(service: Running) -> None:
    assert await service.ended() == -signal.SIGKILL


async def test_killed_after_consuming_it_gives_the_same_answer_when_asked_again(
    desk: Desk, kafka: Kafka, producer: Producer
) -> None:
    await desk.open()
    quote = await desk.quote()
    async with quote_service(desk.url, kafka.bootstrap, POOLS_CRASHPOINT="quote.consumed") as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await consume(service.client, quote.quote_id, "pt_test_1")
        await killed(service)
    # Any replica will do for asking again; one in this process starts at once.
    again, other = await desk.consume(desk.attempt(quote, "pt_test_1"), desk.attempt(quote, "pt_test_2"))
    assert isinstance(again, Quote)
    assert isinstance(other, QuoteConsumed)
    assert await desk.amounts() == (100_000, 0, BOUGHT)
    await desk.assert_adds_up()


async def test_killed_after_giving_back_it_gives_back_nothing_more_when_asked_again(
    desk: Desk, kafka: Kafka, producer: Producer
) -> None:
    await desk.open()
    taken = await desk.consumed()
    item = quote_pb2.GiveBackQuotesItem(context=context(), trade_id=taken.trade_id, quote_id=taken.quote.quote_id)
    request = quote_pb2.GiveBackQuotesRequest(items=[item])
    async with quote_service(desk.url, kafka.bootstrap, POOLS_CRASHPOINT="quote.given_back") as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await service.client.quote.GiveBackQuotes(request)
        await killed(service)
    assert await desk.give_back(desk.attempt(taken.quote, taken.trade_id)) == [False]
    read = await desk.read(taken.quote)
    assert isinstance(read, Quote)
    assert read.status in (Status.ACTIVE, Status.EXPIRED)
    assert (await desk.stock()).committed == 0
    await desk.assert_adds_up()


@pytest.mark.long
async def test_killed_before_its_offsets_are_committed_it_applies_each_event_once(
    desk: Desk, kafka: Kafka, producer: Producer
) -> None:
    await desk.open()
    taken = [await desk.consumed() for _ in range(3)]
    async with quote_service(desk.url, kafka.bootstrap, POOLS_CRASHPOINT="quote.terminal_events_applied") as service:
        assert await producer.send_all([settled(each) for each in taken[:2]]) == [None, None]
        await killed(service)
    async with quote_service(desk.url, kafka.bootstrap):
        assert await producer.send_all([settled(taken[2])]) == [None]

        async def all_drawn() -> bool:
            return await desk.amounts() == (100_000 - 3 * BOUGHT, 0, 0)

        await eventually(all_drawn, "each trade draws its inventory once")
    await desk.assert_adds_up()
