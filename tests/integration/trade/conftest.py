"""A migrated trade database for each test."""

from collections.abc import AsyncIterator

import pytest

from poolkit.database import Database
from tests.integration.databases import RunningPostgres


@pytest.fixture
async def database(postgres: RunningPostgres) -> AsyncIterator[Database]:
    """The service's own database, as its runtime role sees it."""
    database = Database(await postgres.fresh_database("trade"), application_name="test")
    yield database
    await database.close()
