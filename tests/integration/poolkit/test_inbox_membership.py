"""A consumer comes and goes: stopped, killed, sharing with a replica, let down by its client library."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from poolkit import inbox
from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.group_reader import Stalled
from poolkit.inbox import ReceivedEvent
from poolkit.kafka import Producer
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.consuming import Applying, committed_all, consuming, ids
from tests.integration.poolkit.crashing import run_until_killed
from tests.integration.poolkit.events import applied, message, read_all, send
from tests.waiting import eventually


@pytest.fixture
def handler(database: Database) -> Applying:
    return Applying(database)


@pytest.mark.long
async def test_a_consumer_killed_between_effect_and_offset_applies_nothing_twice(
    handler: Applying, database: Database, database_url: str, producer: Producer, topics: Topics
) -> None:
    await send(producer, [message(topics, number) for number in range(50)])
    arguments = ("consume", database_url, topics.bootstrap, topics.mode, topics.consumer, inbox.APPLIED)
    assert await run_until_killed(*arguments) == -9
    before = await applied(database)
    assert before, "the kill came after the effect"
    async with consuming(topics, producer, handler):
        await send(producer, [message(topics, number) for number in range(50, 60)])
        await eventually(lambda: handler.has(range(60)), "the rest is applied", seconds=30)
    assert sum(handler.sizes) == 60, "everything came again"
    assert (await applied(database))[: len(before)] == before


async def test_stop_finishes_and_commits_the_batch_in_hand(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(events: list[ReceivedEvent]) -> None:
        begun.set()
        await go_on.wait()
        await handler(events)

    await send(producer, [message(topics, number, key="org") for number in range(5)])
    async with consuming(topics, producer, slow) as consumer:
        await begun.wait()
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        go_on.set()
        await stopping
    assert await handler.has(range(5))
    assert await committed_all(topics, consumer, 5)


async def test_a_busy_consumer_commits_now_and_then_and_everything_when_it_stops(
    handler: Applying, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.group_reader.COMMIT_INTERVAL_SECONDS", 60.0)
    async with consuming(topics, producer, handler) as consumer:
        await send(producer, [message(topics, 0)])
        await eventually(lambda: committed_all(topics, consumer, 1), "the first is committed at once")
        await send(producer, [message(topics, number) for number in range(1, 10)])
        await eventually(lambda: handler.has(range(10)), "applied")
        assert await committed_all(topics, consumer, 1), "the next wait for the interval"
    assert await committed_all(topics, consumer, 10)


async def test_stop_does_not_wait_for_a_database_that_stays_away(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    handler.errors = {ids([0])[0]: [Unavailable()]}
    await send(producer, [message(topics, 0)])
    async with consuming(topics, producer, handler) as consumer:
        await eventually(lambda: len(handler.sizes) > 3, "it retries")
        async with asyncio.timeout(3):
            await consumer.stop()
    assert await committed_all(topics, consumer, 0), "left to whoever comes next"


async def test_replicas_share_the_partitions_and_hand_them_over_without_loss(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    await send(producer, [message(topics, number) for number in range(100)])
    async with consuming(topics, producer, handler, batch_max=10):
        await eventually(lambda: bool(handler.sizes), "the first reads")
        second = Applying(handler.database)
        async with consuming(topics, producer, second, batch_max=10):
            numbers = iter(range(100, 10_000))

            async def second_reads_too() -> bool:
                await send(producer, [message(topics, next(numbers)) for _ in range(10)])
                return bool(second.sizes)

            await eventually(second_reads_too, "the second reads its share", seconds=30)
        sent = next(numbers)
        await send(producer, [message(topics, number) for number in range(sent, sent + 50)])
        await eventually(lambda: handler.has(range(sent + 50)), "the first has everything again")
    assert await read_all(topics.bootstrap, topics.dead_letters) == []


@pytest.mark.parametrize("method", ["stop", "getmany"])
async def test_a_cancellation_that_is_the_clients_own_does_not_end_the_consumer(
    handler: Applying, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """aiokafka awaits tasks it has cancelled itself, and lets that out to who called it."""
    original = getattr(AIOKafkaConsumer, method)
    cancelled: list[str] = []

    async def cancel_itself_once(self: AIOKafkaConsumer, *args: object, **kwargs: object) -> object:
        answer = await original(self, *args, **kwargs)
        if not cancelled:
            cancelled.append(method)
            raise asyncio.CancelledError
        return answer

    await send(producer, [message(topics, 0)])
    async with consuming(topics, producer, handler) as consumer:
        await eventually(lambda: handler.has([0]), "it reads")
        monkeypatch.setattr(AIOKafkaConsumer, method, cancel_itself_once)
        assert consumer._reader is not None
        if method == "stop":
            consumer._reader._failure = Stalled()
            consumer._reader.interrupt()
        await eventually(lambda: bool(cancelled), "the client cancels itself")
        await send(producer, [message(topics, 1)])
        await eventually(lambda: handler.has([0, 1]), "it has joined again", seconds=30)
