"""A migrated ledger database for each test."""

from collections.abc import AsyncIterator

import pytest

from poolkit.database import Database
from poolkit.ids import new_id
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books


@pytest.fixture
async def books(postgres: RunningPostgres) -> AsyncIterator[Books]:
    """An empty ledger."""
    url = await postgres.fresh_database("ledger")
    database = Database(url, application_name="tested", pool_size=16)
    admin = Database(postgres.admin_url(url), application_name="test", pool_size=2)
    yield Books(database, admin)
    await database.close()
    await admin.close()


@pytest.fixture
def organization() -> str:
    """A partner."""
    return new_id("org")
