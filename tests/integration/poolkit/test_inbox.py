"""Each event takes effect once, in its order, whatever dies on the way; what never can is set aside alone."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.inbox import PoisonEvent, ReceivedEvent
from poolkit.kafka import TRADE_TERMINAL, Message, Producer
from poolkit.telemetry.spanstore import read_spans
from poolkit.telemetry.tracing import configure_tracing, shutdown_tracing
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.consuming import Applying, committed_all, consuming, ids
from tests.integration.poolkit.events import applied, message, read_all, send
from tests.waiting import eventually


@pytest.fixture
def handler(database: Database) -> Applying:
    return Applying(database)


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Path]:
    settings = SimpleNamespace(
        mode="test", otlp_endpoint=None, zipkin_endpoint=None, span_directory=tmp_path, trace_samples_per_second_max=0
    )
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
