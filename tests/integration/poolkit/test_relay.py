"""What is appended reaches the broker in its order, at least once, soon: handed over, or read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from poolkit.database import Database
from poolkit.kafka import Message, Producer, partition_for
from poolkit.leases import Lease
from poolkit.outbox import Row
from poolkit.relay import SENT, Relay
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.crashing import run_until_killed
from tests.integration.poolkit.events import UNSAMPLED, append_all, event, read_all
from tests.waiting import eventually

UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


@contextlib.asynccontextmanager
async def relaying(database: Database, producer: Producer, mode: str) -> AsyncIterator[Relay]:
    relay = Relay(database, producer, Lease(database, "relay", 1.0), mode, batch_max=100)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()


async def all_published(database: Database) -> bool:
    return await database.fetch_value(UNPUBLISHED) == 0


async def test_the_relay_sends_everything_with_its_headers_and_keeps_the_order_of_each_key(
    database: Database, producer: Producer, topics: Topics
) -> None:
    await append_all(database, [event(number) for number in range(250)])
    async with relaying(database, producer, topics.mode) as relay:
        await append_all(database, [event(number) for number in range(250, 300)])
        await eventually(lambda: all_published(database), "everything is marked")
        assert await relay.lag() == (0, 0.0)
    records = await read_all(topics.bootstrap, topics.terminal)
    assert sorted(record.value for record in records) == sorted(event(number).payload for number in range(300))
    for number in range(10):
        own = [int(record.value.split()[1]) for record in records if record.key == f"org_{number}".encode()]
        assert own == list(range(number, 300, 10))
    first = next(record for record in records if record.value == b"payload 0")
    assert first.partition == partition_for(b"org_0", 4)
    assert dict(first.headers) == {
        "event-id": b"event-000000",
        "type": b"settled",
        "schema": b"pools.trade.terminal.v1",
        "request-id": b"req_0",
        "traceparent": UNSAMPLED.encode(),
        "mode": topics.mode.encode(),
    }


async def test_every_replica_tells_the_lag_also_while_nobody_relays(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.relay.MEASURE_SECONDS", 0.01)
    # This one never relays: on-call has to see what is not sent, whoever was to send it.
    watching = asyncio.create_task(Relay(database, producer, Lease(database, "relay"), topics.mode).measure())

    def told() -> tuple[float | None, ...]:
        return tuple(REGISTRY.get_sample_value(f"pools_outbox_lag_{unit}") for unit in ("events", "seconds"))

    await append_all(database, [event(number) for number in range(3)])
    await eventually(lambda: told()[0] == 3 and (told()[1] or 0) > 0.1, "events that nobody sends show, and their age")
    async with relaying(database, producer, topics.mode):
        await eventually(lambda: told() == (0, 0), "what somebody else has sent shows no more")
    watching.cancel()
    await asyncio.wait({watching})


async def test_an_append_wakes_the_relay_which_else_looks_rarely(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.relay.POLL_SECONDS", 60.0)
    async with relaying(database, producer, topics.mode):
        for number in range(5):
            await append_all(database, [event(number)])
            await eventually(lambda: all_published(database), "sent at once", seconds=5, every_seconds=0.002)


async def test_an_append_whose_notification_is_lost_is_found_by_looking(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.relay.POLL_SECONDS", 0.05)
    async with relaying(database, producer, topics.mode):
        await append_all(database, [event(1)])
        await eventually(lambda: all_published(database), "the first is sent")
        await append_all(database, [event(2)], notify=False)
        await eventually(lambda: all_published(database), "found without being told", seconds=5)


async def test_two_replicas_relay_once(database: Database, producer: Producer, topics: Topics) -> None:
    await append_all(database, [event(number) for number in range(500)])
    async with relaying(database, producer, topics.mode), relaying(database, producer, topics.mode):
        await eventually(lambda: all_published(database), "everything is marked")
    assert len(await read_all(topics.bootstrap, topics.terminal)) == 500


async def test_a_relay_killed_after_sending_and_before_marking_loses_nothing(
    database: Database, database_url: str, producer: Producer, topics: Topics
) -> None:
    await append_all(database, [event(number) for number in range(20)])
    arguments = ("relay", database_url, topics.bootstrap, topics.mode, topics.consumer, SENT)
    assert await run_until_killed(*arguments) == -9
    assert await database.fetch_value(UNPUBLISHED) == 20
    async with relaying(database, producer, topics.mode):
        await eventually(lambda: all_published(database), "sent again, and marked")
    records = await read_all(topics.bootstrap, topics.terminal)
    assert len(records) == 40
    assert {dict(record.headers)["event-id"] for record in records} == {
        event(number).event_id.encode() for number in range(20)
    }


async def test_what_is_handed_over_is_sent_once_in_its_order_though_nobody_is_notified_and_nothing_is_read(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.relay.POLL_SECONDS", 60.0)
    async with relaying(database, producer, topics.mode) as relay:
        await eventually(lambda: relay.takes_over, "it has read all there was")
        for number in range(0, 40, 2):
            relay.hand_over(
                await append_all(database, [event(number, key="org"), event(number + 1, key="org")], notify=False)
            )
            if number % 10 == 0:
                # Of another replica: it is told of, and read, as is what was handed over and is not marked yet.
                await append_all(database, [event(1000 + number, key="other")])
        await eventually(lambda: all_published(database), "everything is marked", seconds=5)
    records = await read_all(topics.bootstrap, topics.terminal)
    own = [int(record.value.split()[1]) for record in records if record.key == b"org"]
    assert own == list(range(40))
    assert len(records) == 44


async def test_what_is_handed_over_never_overtakes_what_could_not_be_sent_yet(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a failure makes it read before that.
    monkeypatch.setattr("poolkit.relay.MARK_SECONDS", 60.0)
    down = True
    send_all = producer.send_all

    sent = 0

    async def failing(messages: list[Message]) -> list[Exception | None]:
        nonlocal sent
        if down:
            return [ConnectionError()] * len(messages)
        sent += len(messages)
        return await send_all(messages)

    async with relaying(database, producer, topics.mode) as relay:
        await eventually(lambda: relay.takes_over, "it has read all there was")
        monkeypatch.setattr(producer, "send_all", failing)
        for number in range(50):
            relay.hand_over(await append_all(database, [event(number, key="org")], notify=False))
        await eventually(lambda: not relay.takes_over, "it failed to send")
        down = False
        await eventually(lambda: relay.takes_over, "it has read what it could not send")
        relay.hand_over(await append_all(database, [event(50, key="org")], notify=False))
        await eventually(lambda: sent == 51, "everything is sent")
    records = await read_all(topics.bootstrap, topics.terminal)
    assert [int(record.value.split()[1]) for record in records] == list(range(51))


async def test_what_may_wait_leaves_with_what_may_not_and_in_time_by_itself(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.relay.POLL_SECONDS", 60.0)
    send_all = producer.send_all
    sent: list[int] = []

    async def counting(messages: list[Message]) -> list[Exception | None]:
        sent.append(len(messages))
        return await send_all(messages)

    async with relaying(database, producer, topics.mode) as relay:
        await eventually(lambda: relay.takes_over, "it has read all there was")
        monkeypatch.setattr(producer, "send_all", counting)
        relay.hand_over(await append_all(database, [event(0, key="org")], notify=False), gather_seconds=60.0)
        relay.hand_over(await append_all(database, [event(1, key="org")], notify=False))
        await eventually(lambda: all_published(database), "both are marked", seconds=5)
        assert sent == [2]
    async with relaying(database, producer, topics.mode) as relay:
        await eventually(lambda: relay.takes_over, "it has read all there was")
        relay.hand_over(await append_all(database, [event(2, key="org")], notify=False), gather_seconds=0.01)
        await eventually(lambda: all_published(database), "it is marked", seconds=5)
    records = await read_all(topics.bootstrap, topics.terminal)
    assert [int(record.value.split()[1]) for record in records] == [0, 1, 2]


async def test_what_is_handed_to_a_relay_without_the_lease_is_sent_by_the_one_that_has_it(
    database: Database, producer: Producer, topics: Topics
) -> None:
    async with relaying(database, producer, topics.mode) as leader:
        await eventually(lambda: leader.takes_over, "it has the lease")
        async with relaying(database, producer, topics.mode) as other:
            rows: list[Row] = await append_all(database, [event(1)], notify=False)
            assert not other.takes_over
            other.hand_over(rows)
            await eventually(lambda: all_published(database), "found by looking", seconds=5)
    assert len(await read_all(topics.bootstrap, topics.terminal)) == 1
