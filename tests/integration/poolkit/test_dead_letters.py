"""What was set aside is seen with its reason, goes back to where it came from when told to, and takes effect once."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from poolkit.database import Database
from poolkit.dead_letters import Letter, Replayed, WaitingLetters, list_letters, replay_letters
from poolkit.errors import Unavailable
from poolkit.inbox import PoisonEvent
from poolkit.kafka import Message, Producer
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.consuming import Applying, consuming, ids
from tests.integration.poolkit.events import event, message, read_all, send
from tests.waiting import eventually


@pytest.fixture
def handler(database: Database) -> Applying:
    return Applying(database)


async def letters(topics: Topics, limit: int = 100) -> list[Letter]:
    return await list_letters(topics.bootstrap, topics.mode, topics.consumer, limit=limit)


def waiting(topics: Topics) -> float | None:
    return REGISTRY.get_sample_value("pools_dead_letters_waiting_events", {"consumer": topics.consumer})


async def replay(
    topics: Topics, producer: Producer, chosen: Callable[[Letter], bool] = lambda letter: letter.replayed_at is None
) -> list[Replayed]:
    return await replay_letters(
        topics.bootstrap, topics.mode, topics.consumer, producer, chosen=chosen, sent=set(), limit=100
    )


async def test_poison_is_shown_and_applied_once_when_it_is_replayed_after_the_fix(
    handler: Applying, producer: Producer, topics: Topics
) -> None:
    assert await letters(topics) == []
    poison = [event(number).event_id for number in (3, 5)]
    for event_id in poison:
        handler.errors[event_id] = [PoisonEvent("not_understood", "a field that nobody knows")]
    await send(producer, [message(topics, number) for number in range(8)])
    counting = asyncio.create_task(WaitingLetters(topics.bootstrap, topics.mode, topics.consumer).run())
    async with consuming(topics, producer, handler):

        async def set_aside(count: int) -> bool:
            return len(await letters(topics)) == count

        await eventually(lambda: handler.has([0, 1, 2, 4, 6, 7]), "the others are applied", seconds=30)
        await eventually(lambda: set_aside(2), "the poison is set aside")
        found = await letters(topics)
        assert sorted(letter.event_id for letter in found) == poison
        for letter in found:
            assert (letter.topic, letter.type, letter.reason) == (topics.terminal, "settled", "not_understood")
            assert letter.request_id == f"req_{int(letter.event_id[-6:])}"
            assert letter.organization_id == f"org_{int(letter.event_id[-6:])}"
            assert "a field that nobody knows" in letter.error
            assert letter.replayed_at is None
        assert [letter.event_id for letter in await letters(topics, limit=1)] == [found[0].event_id]
        await eventually(lambda: waiting(topics) == 2, "both wait")

        # Before the fix it comes back, as a new letter like the first.
        replayed = await replay(topics, producer, lambda letter: letter.event_id == poison[0])
        assert [(each.letter.event_id, each.refusal) for each in replayed] == [(poison[0], "")]
        await eventually(lambda: set_aside(3), "it is set aside again")
        await eventually(lambda: waiting(topics) == 2, "both wait still")

        handler.errors.clear()
        assert sorted(each.letter.event_id for each in await replay(topics, producer)) == poison
        await eventually(lambda: handler.has(range(8)), "all are applied", seconds=30)
        assert await replay(topics, producer) == []
        assert all(letter.replayed_at for letter in await letters(topics))
        await eventually(lambda: waiting(topics) == 0, "none waits any more")
        # Named, it is sent as often as one likes, but once a command, and takes no second effect.
        again = await replay(topics, producer, lambda letter: letter.event_id == poison[0])
        assert len(again) == 1
        await send(producer, [message(topics, 9)])
        await eventually(lambda: handler.has([*range(8), 9]), "and it goes on")
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    sent = [
        record for record in await read_all(topics.bootstrap, topics.terminal) if ids([3])[0] in str(record.headers)
    ]
    original, *repeats = sent
    assert len(repeats) == 3
    for record in repeats:
        assert (record.key, record.value, record.partition) == (original.key, original.value, original.partition)
        names = [name for name, _ in record.headers]
        assert names == [*dict(original.headers), "replayed-from", "replayed-at"]
        assert dict(record.headers)["replayed-from"].startswith(topics.dead_letters.encode())


async def test_a_letter_that_was_too_large_is_replayed_from_its_own_topic(producer: Producer, topics: Topics) -> None:
    await send(producer, [message(topics, 1)])
    [original] = await read_all(topics.bootstrap, topics.terminal)
    about = [
        *original.headers,
        ("dead-letter-topic", topics.terminal.encode()),
        ("dead-letter-partition", str(original.partition).encode()),
        ("dead-letter-reason", b"too_large"),
    ]
    empty = Message(topics.dead_letters, original.key, b"", [*about, ("dead-letter-offset", b"0")])
    gone = Message(
        topics.dead_letters, original.key, b"", [("dead-letter-topic", topics.terminal.encode()), ("event-id", b"gone")]
    )
    await send(producer, [empty, gone._replace(headers=[*gone.headers, ("dead-letter-offset", b"77")])])
    replayed = await replay(topics, producer)
    assert [bool(each.refusal) for each in replayed] == [False, True]
    values = [record.value for record in await read_all(topics.bootstrap, topics.terminal)]
    assert values == [original.value, original.value]
    assert [letter.event_id for letter in await letters(topics) if letter.replayed_at is None] == ["gone"]


async def test_a_broker_out_of_reach_is_told() -> None:
    with pytest.raises(Unavailable):
        await list_letters("127.0.0.1:1", "test", "ledger", limit=1)
