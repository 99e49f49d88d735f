"""Events commit with what they tell of, and reach the broker in their order, at least once, soon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from poolkit import outbox
from poolkit.database import Database
from poolkit.kafka import Message, Producer, ensure_topics, partition_for, topic
from poolkit.leases import Lease
from poolkit.outbox import Relay, append
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


async def test_what_is_rolled_back_is_never_told_and_an_event_is_appended_once(database: Database) -> None:
    async with database.transaction() as unit:
        await append(unit, [event(1)])
    async with database.transaction() as unit:
        await append(unit, [])
        await append(unit, [event(1), event(2)])
        await unit.commit()
    with pytest.raises(asyncpg.UniqueViolationError):
        await append_all(database, [event(3), event(2)])
    rows = await database.fetch("SELECT event_id FROM outbox ORDER BY sequence")
    assert [row["event_id"] for row in rows] == ["event-000001", "event-000002"]


async def test_the_runtime_role_can_neither_rewrite_nor_remove_what_was_said(database: Database) -> None:
    await append_all(database, [event(1)])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.execute("UPDATE outbox SET payload = 'other'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.execute("DELETE FROM outbox")


async def test_an_event_too_large_for_the_broker_is_refused_when_it_is_appended(database: Database) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await append_all(database, [event(1)._replace(payload=b"x" * 900_001)])


async def test_appending_tells_the_listener_once_a_statement(database: Database) -> None:
    heard: list[str] = []
    listener = await database.listen(outbox.CHANNEL, heard.append)
    await listener.wait_connected()
    heard.clear()
    await append_all(database, [event(number) for number in range(100)])
    await eventually(lambda: bool(heard), "told")
    await database.execute("SELECT pg_notify($1, 'last')", outbox.CHANNEL)
    await eventually(lambda: heard == ["", "last"], "told once")


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


async def test_an_append_wakes_the_relay_which_else_looks_rarely(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "POLL_SECONDS", 60.0)
    async with relaying(database, producer, topics.mode):
        for number in range(5):
            await append_all(database, [event(number)])
            await eventually(lambda: all_published(database), "sent at once", seconds=5, every_seconds=0.002)


async def test_an_append_whose_notification_is_lost_is_found_by_looking(
    database: Database, producer: Producer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.05)
    async with relaying(database, producer, topics.mode):
        await append_all(database, [event(1)])
        await eventually(lambda: all_published(database), "the first is sent")
        silent = outbox.APPEND_SQL.replace("SELECT pg_notify('outbox', '')", "SELECT 1")
        await database.fetch(silent, *outbox.append_args([event(2)]))
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
    arguments = ("relay", database_url, topics.bootstrap, topics.mode, topics.consumer, outbox.SENT)
    assert await run_until_killed(*arguments) == -9
    assert await database.fetch_value(UNPUBLISHED) == 20
    async with relaying(database, producer, topics.mode):
        await eventually(lambda: all_published(database), "sent again, and marked")
    records = await read_all(topics.bootstrap, topics.terminal)
    assert len(records) == 40
    assert {dict(record.headers)["event-id"] for record in records} == {
        event(number).event_id.encode() for number in range(20)
    }


async def test_a_message_too_large_is_refused_before_it_harms_its_neighbours(
    producer: Producer, topics: Topics
) -> None:
    small = Message(topics.terminal, b"org", b"small", [])
    errors = await producer.send_all([small, small._replace(value=b"x" * 900_001), small])
    assert errors[0] is None
    assert isinstance(errors[1], MessageSizeTooLargeError)
    assert errors[2] is None
    # Several batches' worth for one partition at once.
    large = [small._replace(value=bytes([number]) * 400_000) for number in range(6)]
    assert await producer.send_all(large) == [None] * 6
    sent = [record.value[:1] for record in await read_all(topics.bootstrap, topics.terminal)]
    assert sent == [b"s", b"s", *(bytes([number]) for number in range(6))]


async def test_topics_are_made_once_and_another_number_of_partitions_is_refused(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(topics.bootstrap, topics.mode)
    await ensure_topics(topics.bootstrap, topics.mode)
    monkeypatch.setattr("poolkit.kafka.TOPICS", {"pools.trade.terminal.v1": 8})
    with pytest.raises(RuntimeError, match="4 partitions instead of 8"):
        await ensure_topics(topics.bootstrap, topics.mode)
    assert topic("pools.trade.terminal.v1", "live") == "pools.trade.terminal.v1"
    assert topic("pools.trade.terminal.v1", "test") == "pools.trade.terminal.v1.test"
