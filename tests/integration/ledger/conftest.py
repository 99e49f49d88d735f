"""A migrated ledger database for each test."""

from collections.abc import AsyncIterator

import pytest

from poolkit.ids import new_id
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, open_books


@pytest.fixture
async def books(postgres: RunningPostgres) -> AsyncIterator[Books]:
    """An empty ledger."""
    async with open_books(postgres) as opened:
        yield opened


@pytest.fixture
def organization() -> str:
    """A partner."""
    return new_id("org")
