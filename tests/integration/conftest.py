"""The database server and the broker that integration tests share, started once a session and only when asked for."""

import shutil
from collections.abc import AsyncIterator

import pytest

from poolctl.stack.databases import ensure_databases
from poolctl.stack.kafka import Kafka
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from tests.integration.databases import RunningPostgres


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningPostgres]:
    """A running PostgreSQL with every service's roles; `fresh_database(service)` for a database of one's own."""
    directory = tmp_path_factory.mktemp("postgres")
    server = Postgres(directory, free_port())
    await server.start()
    try:
        await ensure_databases(server)
        yield RunningPostgres(server)
    finally:
        await server.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A running Kafka without topics; `kafka.bootstrap` is its address."""
    directory = tmp_path_factory.mktemp("kafka")
    broker = Kafka(directory, free_port())
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
        shutil.rmtree(directory)
