"""A migrated, seeded quote database for each test."""

from collections.abc import AsyncIterator

import pytest

from poolkit.database import Database
from quote.app.seed_pools import seed_pools
from tests.integration.databases import RunningPostgres
from tests.integration.quote.desk import Desk


@pytest.fixture
async def desk(postgres: RunningPostgres) -> AsyncIterator[Desk]:
    """The use cases on a fresh database with the sandbox's pools, without rates and inventory."""
    url = await postgres.fresh_database("quote")
    database = Database(url, application_name="test", pool_size=16)
    admin = Database(postgres.admin_url(url), application_name="test", pool_size=2)
    await seed_pools(database)
    yield Desk(url, database, admin)
    await database.close()
    await admin.close()
