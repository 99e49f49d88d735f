"""From the broker into the books: nothing lost, nothing doubled, whoever dies on the way."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

import pytest

from ledger.app.apply_events import COMMITTED, TAKEN_IN, WRITTEN
from poolctl.stack.kafka import Kafka
from poolkit.inbox import APPLIED, ReceivedEvent
from poolkit.kafka import Producer, dead_letter_topic, ensure_topics
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import allocation, messages, payin, top_up, trade_event
from tests.integration.ledger.replica import make_consumer, run_until_killed
from tests.integration.poolkit.events import read_all
from tests.waiting import eventually


@pytest.fixture
async def mode(kafka: Kafka) -> str:
    """Topics of the test's own."""
    token = f"test{secrets.token_hex(4)}"
    await ensure_topics(kafka.bootstrap, token)
    return token


@pytest.fixture
async def producer(kafka: Kafka) -> AsyncIterator[Producer]:
    opened = Producer(kafka.bootstrap, client_id="test")
    yield opened
    await opened.stop()


@contextlib.asynccontextmanager
async def consuming(books: Books, kafka: Kafka, mode: str, producer: Producer) -> AsyncIterator[None]:
    consumer = make_consumer(books.database, kafka.bootstrap, mode, producer)
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        async with asyncio.timeout(15):
            await consumer.stop()
            await task


def journeys(count: int) -> list[ReceivedEvent]:
    """Events of every topic, some of which arrive before what they wait for."""
    events = [top_up()]
    for number in range(count):
        trade, credited = new_trade(), payin("unallocated")
        organization = f"org_{number % 5}"
        events += [payin(organization), allocation(organization, credited), credited]
        events += [trade_event(organization, trade, "returned"), trade_event(organization, trade)]
    return events


async def all_applied(books: Books, count: int) -> bool:
    return await books.count("inbox", "state = 'applied'") == count


async def send(producer: Producer, events: list[ReceivedEvent], mode: str) -> None:
    assert not any(await producer.send_all(messages(events, mode)))


async def test_events_of_all_topics_reach_the_books(books: Books, kafka: Kafka, mode: str, producer: Producer) -> None:
    events = journeys(20)
    await send(producer, [*events, *events[:30]], mode)
    async with consuming(books, kafka, mode, producer):
        await eventually(lambda: all_applied(books, len(events)), "all are applied", seconds=30)
    for number in range(5):
        assert (await books.balance(f"org_{number}")).posted == 4 * 2000
    await books.assert_adds_up()


async def test_poison_in_the_middle_goes_to_the_dead_letters_and_the_rest_is_applied(
    books: Books, kafka: Kafka, mode: str, producer: Producer
) -> None:
    events = [payin("org_1") for _ in range(40)]
    poison = trade_event("org_1", new_trade(), rate="0.000000")
    await send(producer, [*events[:20], poison, *events[20:]], mode)
    async with consuming(books, kafka, mode, producer):
        await eventually(lambda: all_applied(books, len(events)), "the others are applied", seconds=30)
        await eventually(lambda: dead(books), "the poison is kept", seconds=30)
        await send(producer, [payin("org_1")], mode)
        await eventually(lambda: all_applied(books, len(events) + 1), "it goes on", seconds=30)
    [letter] = await read_all(kafka.bootstrap, dead_letter_topic("ledger", mode))
    assert letter.value == poison.payload
    assert dict(letter.headers)["dead-letter-reason"] == b"invalid_request"
    assert await books.exceptions() == ["dead_letter"]
    assert (await books.balance("org_1")).posted == 41_000
    await books.assert_adds_up()


async def dead(books: Books) -> bool:
    return await books.count("inbox", "state = 'dead'") == 1


@pytest.mark.parametrize(
    "point",
    [
        WRITTEN,
        f"{COMMITTED}@2",
        APPLIED,
        *[pytest.param(point, marks=pytest.mark.long) for point in (TAKEN_IN, COMMITTED, f"{WRITTEN}@2")],
    ],
)
@pytest.mark.long
async def test_ledger_killed_in_the_middle_of_a_batch_loses_and_doubles_nothing(
    books: Books, kafka: Kafka, mode: str, producer: Producer, point: str
) -> None:
    events = journeys(10)
    await send(producer, events[:25], mode)
    killed = asyncio.create_task(run_until_killed(books.url, kafka.bootstrap, mode, point))
    if point.endswith("@2"):
        await eventually(lambda: some_applied(books), "a first batch is applied", seconds=30)
        await send(producer, events[25:], mode)
        assert await killed == -9
    else:
        assert await killed == -9
        await send(producer, events[25:], mode)
    async with consuming(books, kafka, mode, producer):
        await eventually(lambda: all_applied(books, len(events)), "all are applied", seconds=40)
    assert await books.count("inbox") == len(events)
    for number in range(5):
        assert (await books.balance(f"org_{number}")).posted == 2 * 2000
    await books.assert_adds_up()


async def some_applied(books: Books) -> bool:
    return await books.count("inbox", "state = 'applied'") > 0
