"""Events as the tests of outbox and inbox make, send and read them."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from poolkit.database import Database
from poolkit.inbox import ReceivedEvent
from poolkit.kafka import TRADE_TERMINAL, Message, Producer
from poolkit.outbox import OutboxEvent, Row, append
from tests.integration.poolkit.conftest import Topics

UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
APPLY = """
INSERT INTO effects (event_id, key, traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""


def event(number: int, *, key: str = "", traceparent: str = UNSAMPLED) -> OutboxEvent:
    """The event with this number; every tenth number has the same key."""
    return OutboxEvent(
        f"event-{number:06}",
        TRADE_TERMINAL,
        key or f"org_{number % 10}",
        "settled",
        f"req_{number}",
        traceparent,
        f"payload {number}".encode(),
        date(2026, 11, 22),
    )


async def append_all(database: Database, events: Sequence[OutboxEvent], *, notify: bool = True) -> list[Row]:
    async with database.transaction() as unit:
        rows = await append(unit, events, notify=notify)
        await unit.commit()
    return rows


def message(topics: Topics, number: int, *, key: str = "", traceparent: str = UNSAMPLED, **headers: str) -> Message:
    """The event with this number as the relay sends it; `headers` replace the relay's, an empty one leaves it out."""
    made = event(number, key=key, traceparent=traceparent)
    sent = {
        "event-id": made.event_id,
        "type": made.type,
        "schema": made.topic,
        "request-id": made.request_id,
        "traceparent": made.traceparent,
        "mode": topics.mode,
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return Message(
        topics.terminal,
        made.key.encode(),
        made.payload,
        [(name, value.encode()) for name, value in sent.items() if value],
    )


async def send(producer: Producer, messages: Sequence[Message]) -> None:
    assert await producer.send_all(messages) == [None] * len(messages)


async def apply(database: Database, events: Sequence[ReceivedEvent]) -> None:
    """What a service's handler does: one statement, each event once."""
    await database.fetch(
        APPLY, [each.event_id for each in events], [each.key for each in events], [each.traceparent for each in events]
    )


async def applied(database: Database) -> list[str]:
    """Event ids in the order in which they were applied."""
    return [row["event_id"] for row in await database.fetch("SELECT event_id FROM effects ORDER BY sequence")]


async def read_all(bootstrap: str, name: str) -> list[Any]:
    """Every message in a topic now, partition after partition."""
    consumer = AIOKafkaConsumer(name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        records: dict[TopicPartition, list[Any]] = {place: [] for place in places}
        while any(len(records[place]) < ends[place] for place in places):
            for place, batch in (await consumer.getmany(timeout_ms=1000)).items():
                records[place] += batch
        return [record for place in places for record in records[place]]
    finally:
        await consumer.stop()


async def committed(topics: Topics, group: str) -> int:
    """How many messages of the topic the group has behind it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=topics.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topics.terminal, number) for number in range(4)]
        consumer.assign(places)
        return sum([await consumer.committed(place) or 0 for place in places])
    finally:
        await consumer.stop()
