"""Each event takes effect once, in its order, whatever dies on the way; what never can is set aside alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer

from poolkit import inbox
from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.group_reader import Stalled
from poolkit.inbox import EventConsumer, Handler, PoisonEvent, ReceivedEvent
from poolkit.kafka import TRADE_TERMINAL, Message, Producer
from poolkit.telemetry.spanstore import read_spans
from poolkit.telemetry.tracing import configure_tracing, shutdown_tracing
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.crashing import run_until_killed
from tests.integration.poolkit.events import applied, apply, committed, event, message, read_all, send
from tests.waiting import eventually


def ids(numbers: range | list[int]) -> list[str]:
    return [event(number).event_id for number in numbers]


@contextlib.asynccontextmanager
async def consuming(
    topics: Topics, producer: Producer, handler: Handler, *, batch_max: int = 500
) -> AsyncIterator[EventConsumer]:
    consumer = EventConsumer(
        topics.consumer,
        [TRADE_TERMINAL],
        handler,
        bootstrap=topics.bootstrap,
        mode=topics.mode,
        dead_letter_producer=producer,
        batch_max=batch_max,
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        async with asyncio.timeout(15):
            await consumer.stop()
            await task


class Applying:
    """The handler of a small service, which the test tells what to do with which event."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.errors: dict[str, list[Exception]] = {}
        """What an event raises, one after the other; the last one for good."""
        self.sizes: list[int] = []

    async def __call__(self, events: list[ReceivedEvent]) -> None:
        self.sizes.append(len(events))
        for each in events:
            if waiting := self.errors.get(each.event_id):
                raise waiting.pop(0) if len(waiting) > 1 else waiting[0]
        await apply(self.database, events)

    async def has(self, numbers: range | list[int]) -> bool:
        return sorted(await applied(self.database)) == sorted(ids(numbers))


@pytest.fixture
def handler(database: Database) -> Applying:
    return Applying(database)


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Path]:
    settings = SimpleNamespace(mode="test", otlp_endpoint=None, span_directory=tmp_path, trace_samples_per_second_max=0)
    configure_tracing("tested", settings)
    yield tmp_path
    shutdown_tracing()


def reasons(records: list[object]) -> list[str]:
    return [dict(record.headers)["dead-letter-reason"].decode() for record in records]  # type: ignore[attr-defined]


async def test_events_come_in_batches_in_the_order_of_their_keys_and_offsets_follow(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    await send(producer, [message(topics, number) for number in range(300)])
    seen: list[ReceivedEvent] = []

    async def look(events: list[ReceivedEvent]) -> None:
        seen.extend(events)
        await handler(events)

    async with consuming(topics, producer, look) as consumer:
        await eventually(lambda: handler.has(range(300)), "all are applied")
        await eventually(lambda: committed_all(topics, consumer, 300), "offsets are committed")
        assert consumer.ready
    assert max(handler.sizes) > 1
    for number in range(10):
        own = [int(each.payload.split()[1]) for each in seen if each.key == f"org_{number}"]
        assert own == list(range(number, 300, 10))
    first = next(each for each in seen if each.event_id == "event-000000")
    assert (first.topic, first.type, first.request_id, first.mode) == (
        TRADE_TERMINAL,
        "settled",
        "req_0",
        topics.mode,
    )


async def committed_all(topics: Topics, consumer: EventConsumer, count: int) -> bool:
    return await committed(topics, consumer.group) == count


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


async def test_poison_in_the_middle_of_a_batch_is_set_aside_and_the_others_are_applied(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    handler.errors = {ids([13])[0]: [PoisonEvent("no_such_account")], ids([14])[0]: [PoisonEvent("other_reason")]}
    await send(producer, [message(topics, number, key="org") for number in range(32)])
    async with consuming(topics, producer, handler):
        await eventually(
            lambda: handler.has([number for number in range(32) if number not in (13, 14)]), "the others are applied"
        )
    assert await applied(handler.database) == [one for one in ids(range(32)) if one not in ids([13, 14])]
    records = await read_all(topics.bootstrap, topics.dead_letters)
    assert reasons(records) == ["no_such_account", "other_reason"]
    assert [record.value for record in records] == [b"payload 13", b"payload 14"]
    headers = dict(records[0].headers)
    assert headers["event-id"] == b"event-000013"
    assert headers["dead-letter-topic"].decode() == topics.terminal
    assert headers["dead-letter-offset"] == b"13"
    assert records[0].key == b"org"


async def test_an_error_that_names_no_poison_gets_three_tries_alone(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    """Another replica may have been faster in a rebalance; a moment later its rows are there to be seen."""
    tries_alone: dict[str, int] = {}

    async def handle(events: list[ReceivedEvent]) -> None:
        for each in events:
            if each.event_id in ids([1, 2]):
                tries = tries_alone[each.event_id] = tries_alone.get(each.event_id, 0) + (len(events) == 1)
                if each.event_id in ids([2]) or tries < 3:
                    raise KeyError("not there yet")
        await handler(events)

    await send(producer, [message(topics, number, key="org") for number in range(4)])
    async with consuming(topics, producer, handle):
        await eventually(lambda: handler.has([0, 1, 3]), "the others are applied")
    [set_aside] = await read_all(topics.bootstrap, topics.dead_letters)
    assert reasons([set_aside]) == ["KeyError"]
    assert set_aside.value == b"payload 2"
    assert tries_alone == dict.fromkeys(ids([1, 2]), 3)


async def test_what_is_merely_out_of_reach_is_tried_until_it_is_back_and_never_set_aside(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    handler.errors = {ids([2])[0]: [Unavailable(), ConnectionResetError(), TimeoutError(), Unavailable()]}
    await send(producer, [message(topics, number, key="org") for number in range(5)])
    async with consuming(topics, producer, handler):
        await eventually(lambda: len(handler.errors[ids([2])[0]]) == 1, "tried again and again")
        handler.errors.clear()
        await eventually(lambda: handler.has(range(5)), "applied in the end")
    assert set(handler.sizes) == {5}, "the batch was never taken apart"
    assert await read_all(topics.bootstrap, topics.dead_letters) == []


async def test_events_of_the_other_mode_and_messages_that_are_no_events_are_set_aside_unseen(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    await send(
        producer,
        [
            message(topics, 0, key="org"),
            message(topics, 1, key="org", mode="live"),
            message(topics, 2, key="org", event_id=""),
            message(topics, 3, key="org", mode=""),
            Message(topics.terminal, b"\xff", b"not UTF-8", message(topics, 4).headers),
            message(topics, 5, key="org"),
        ],
    )
    async with consuming(topics, producer, handler):
        await eventually(lambda: handler.has([0, 5]), "the good ones are applied")

        async def four_set_aside() -> bool:
            return len(await read_all(topics.bootstrap, topics.dead_letters)) == 4

        await eventually(four_set_aside, "four set aside")
    found = reasons(await read_all(topics.bootstrap, topics.dead_letters))
    assert sorted(found) == ["malformed_message", "malformed_message", "wrong_mode", "wrong_mode"]


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


async def test_a_sampled_event_gets_a_span_below_its_cause_and_the_handler_its_trace(
    handler: Applying, producer: Producer, topics: Topics, spans: Path
) -> None:
    cause = "00-11111111111111111111111111111111-2222222222222222-01"
    await send(producer, [message(topics, 1, traceparent=cause), message(topics, 2)])
    async with consuming(topics, producer, handler):
        await eventually(lambda: handler.has([1, 2]), "applied")
    shutdown_tracing()
    stored = {
        row["event_id"]: row["traceparent"]
        for row in await handler.database.fetch("SELECT event_id, traceparent FROM effects")
    }
    assert stored["event-000002"].endswith("-00"), "an unsampled event keeps its own"
    trace_id, span_id = stored["event-000001"].split("-")[1:3]
    assert trace_id == "1" * 32
    assert span_id != "2" * 16
    found = {each.name: each for each in read_spans(spans, request_id="req_1")}
    own, batch = found[f"apply {topics.consumer}"], found[f"consume {topics.consumer}"]
    assert (own.span_id, own.parent_span_id) == (span_id, "2" * 16)
    assert batch.kind == "consumer"
    assert own.links == [(batch.trace_id, batch.span_id)]
