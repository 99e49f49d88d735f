"""A consumer of events at work on a topic of its own, with a handler that a test can tell what to do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from poolkit.database import Database
from poolkit.inbox import EventConsumer, Handler, ReceivedEvent
from poolkit.kafka import TRADE_TERMINAL, Producer
from tests.integration.poolkit.conftest import Topics
from tests.integration.poolkit.events import applied, apply, committed, event


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


async def committed_all(topics: Topics, consumer: EventConsumer, count: int) -> bool:
    return await committed(topics, consumer.group) == count
