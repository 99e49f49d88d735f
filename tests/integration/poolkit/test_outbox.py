"""Events commit with what they tell of, and the broker takes what it can keep."""

import asyncpg
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from poolkit import outbox
from poolkit.database import Database
from poolkit.kafka import Message, Producer, ensure_topics, topic
from poolkit.outbox import append
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.events import append_all, event, read_all
from tests.waiting import eventually


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
