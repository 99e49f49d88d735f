"""A quote database for the session, emptied and seeded anew for each test: that takes a tenth of making another."""

from collections.abc import AsyncIterator

import pytest

from poolkit.database import Database
from quote.app.seed_pools import seed_pools
from tests.integration.databases import RunningPostgres
from tests.integration.quote.desk import Desk

# Leases stay: an ended process has let its own go.
_EMPTY = """
DELETE FROM outbox; DELETE FROM treasury_movements; DELETE FROM terminal_events; DELETE FROM consumptions;
DELETE FROM rejections; DELETE FROM quote_holds; DELETE FROM quotes; DELETE FROM inventory; DELETE FROM rates;
DELETE FROM pool_tiers; DELETE FROM pools;
"""


@pytest.fixture(scope="session")
async def quote_databases(postgres: RunningPostgres) -> AsyncIterator[tuple[str, Database, Database]]:
    """The runtime role's address, and the database as that role and as the superuser see it."""
    url = await postgres.fresh_database("quote")
    database = Database(url, application_name="test", pool_size=16)
    admin = Database(postgres.admin_url(url), application_name="test", pool_size=2)
    yield url, database, admin
    await database.close()
    await admin.close()


@pytest.fixture
async def desk(quote_databases: tuple[str, Database, Database]) -> Desk:
    """The use cases on a database with the sandbox's pools, without rates and inventory."""
    url, database, admin = quote_databases
    await admin.execute(_EMPTY)
    await seed_pools(database)
    return Desk(url, database, admin)
