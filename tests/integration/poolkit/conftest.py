"""A database of the test's own with outbox, leases and an inbox, and topics of its own on the shared broker."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from poolctl.stack.kafka import Kafka
from poolkit import leases, outbox
from poolkit.database import Database
from poolkit.kafka import TRADE_TERMINAL, Producer, dead_letter_topic, topic
from tests.integration.databases import RunningPostgres

TABLES = """
CREATE TABLE effects (event_id text PRIMARY KEY, key text NOT NULL, traceparent text NOT NULL,
                      sequence bigint GENERATED ALWAYS AS IDENTITY);
"""


@dataclass(frozen=True)
class Topics:
    """One topic and one dead-letter topic that nobody else uses, made so by a mode of the test's own."""

    bootstrap: str
    mode: str
    consumer: str

    @property
    def terminal(self) -> str:
        return topic(TRADE_TERMINAL, self.mode)

    @property
    def dead_letters(self) -> str:
        return dead_letter_topic(self.consumer, self.mode)


async def make_tables(admin_url: str, role: str) -> None:
    """What the tests' small service owns; the runtime role gets what poolkit says it needs."""
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(outbox.DDL + leases.DDL + TABLES)
        await admin.execute(outbox.grants(role) + leases.grants(role) + f"GRANT SELECT, INSERT ON effects TO {role}")
    finally:
        await admin.close()


async def make_topics(bootstrap: str) -> Topics:
    token = secrets.token_hex(4)
    topics = Topics(bootstrap, f"test{token}", f"tested-{token}")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topics.terminal, 4, 1), NewTopic(topics.dead_letters, 1, 1)])
    finally:
        await admin.close()
    return topics


@pytest.fixture
async def database_url(postgres: RunningPostgres) -> str:
    """The runtime role's address of a database with the tests' tables."""
    url = await postgres.empty_database("ledger")
    await make_tables(postgres.admin_url(url), "ledger_runtime")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, application_name="tested", pool_size=4)
    yield opened
    await opened.close()


@pytest.fixture
async def admin(postgres: RunningPostgres, database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """The superuser in the same database: to look, to lock, to end other people's connections."""
    connection = await asyncpg.connect(postgres.admin_url(database_url))
    yield connection
    await connection.close()


@pytest.fixture
async def topics(kafka: Kafka) -> Topics:
    return await make_topics(kafka.bootstrap)


@pytest.fixture
async def producer(kafka: Kafka) -> AsyncIterator[Producer]:
    opened = Producer(kafka.bootstrap, client_id="tested")
    yield opened
    await opened.stop()
