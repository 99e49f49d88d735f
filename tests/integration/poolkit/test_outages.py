"""Database and broker go away under a relay and a consumer at work: nothing is lost, and nothing is set aside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from poolctl.stack.databases import ensure_databases, runtime_url
from poolctl.stack.kafka import Kafka
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.inbox import EventConsumer, ReceivedEvent
from poolkit.kafka import TRADE_TERMINAL, Producer
from poolkit.leases import Lease
from poolkit.relay import Relay
from tests.integration.poolkit.conftest import Topics, make_tables, make_topics
from tests.integration.poolkit.events import append_all, applied, apply, event, read_all
from tests.waiting import eventually


class Service:
    """A relay and a consumer on one database and one broker, both of which the test may take away."""

    def __init__(self, server: Postgres, broker: Kafka, topics: Topics) -> None:
        self.server = server
        self.broker = broker
        self.topics = topics
        self.database = Database(runtime_url(server, "ledger"), application_name="tested", pool_size=4)
        self.producer = Producer(broker.bootstrap, client_id="tested", delivery_seconds_max=3.0)
        self.relay = Relay(self.database, self.producer, Lease(self.database, "relay", 1.0), topics.mode)
        self.consumer = EventConsumer(
            topics.consumer,
            [TRADE_TERMINAL],
            self._handle,
            bootstrap=broker.bootstrap,
            mode=topics.mode,
            dead_letter_producer=self.producer,
        )
        self.appended = 0

    async def _handle(self, events: list[ReceivedEvent]) -> None:
        await apply(self.database, events)

    async def append(self, count: int) -> None:
        numbers = range(self.appended, self.appended + count)
        await append_all(self.database, [event(number) for number in numbers])
        self.appended += count

    async def has_applied_all(self) -> bool:
        try:
            return len(await applied(self.database)) == self.appended
        except Unavailable:
            return False


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    server, broker = Postgres(tmp_path / "postgres", free_port()), Kafka(tmp_path / "kafka", free_port())
    tasks: list[asyncio.Task[None]] = []
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        stack.push_async_callback(broker.stop)
        await asyncio.gather(server.start(), broker.start())
        await ensure_databases(server)
        await make_tables(server.url("ledger"), "ledger_runtime")
        service = Service(server, broker, await make_topics(broker.bootstrap))
        stack.push_async_callback(service.database.close)
        stack.push_async_callback(service.producer.stop)
        tasks += [asyncio.create_task(service.relay.run()), asyncio.create_task(service.consumer.run())]
        yield service
        assert not any(task.done() for task in tasks), "relay or consumer ended"
        await service.consumer.stop()
        tasks[0].cancel()
        await asyncio.wait(tasks)


@pytest.mark.long
async def test_nothing_is_lost_or_set_aside_when_database_and_broker_come_and_go(service: Service) -> None:
    await service.append(50)
    await eventually(service.has_applied_all, "all is well at first")

    # The database restarts while events are on their way.
    await service.append(50)
    await service.server.stop()
    with pytest.raises(Unavailable):
        await service.append(1)
    assert not await service.database.is_ready()
    await service.server.start()
    await eventually(service.database.is_ready, "the pool opens new connections")
    await eventually(service.has_applied_all, "applied after the database came back", seconds=30)

    # The database dies without a word.
    await service.append(50)
    await service.server.kill()
    await service.server.start()
    await eventually(service.database.is_ready, "the pool opens new connections")
    await eventually(service.has_applied_all, "applied after the database recovered", seconds=30)

    # The broker is killed; events wait in the outbox, and go when it is back.
    await service.broker.kill()
    await service.append(50)
    await eventually(lambda: not service.consumer.ready, "the consumer says that it reads nothing", seconds=30)
    assert not await service.producer.is_ready()
    await service.broker.start()
    await eventually(service.has_applied_all, "applied after the broker came back", seconds=60)
    await eventually(lambda: service.consumer.ready, "the consumer reads again", seconds=30)

    admin = await asyncpg.connect(service.server.url("ledger"))
    try:

        async def all_marked() -> bool:
            return bool(await admin.fetchval("SELECT count(*) = 0 FROM outbox WHERE published_at IS NULL"))

        await eventually(all_marked, "what was sent is marked as sent")
    finally:
        await admin.close()
    assert await read_all(service.broker.bootstrap, service.topics.dead_letters) == []
