"""One gateway whose colleagues are out of reach, for all that it decides alone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from poolctl.stack.kafka import Kafka
from poolkit.kafka import ensure_topics
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.desk import Desk, opened_desk
from tests.integration.gateway.house import RunningGateway, publish_rates, start_gateway
from tests.integration.gateway.neighbours import House, start_house


@pytest.fixture(scope="package")
async def bootstrap(kafka: Kafka) -> str:
    """The broker's address, with every topic made."""
    await ensure_topics(kafka.bootstrap, "test")
    return kafka.bootstrap


@pytest.fixture(scope="package")
async def alone(postgres: RunningPostgres) -> AsyncIterator[RunningGateway]:
    """A gateway without colleagues, that takes no events."""
    async with AsyncExitStack() as stack:
        yield await start_gateway(stack, postgres)


@pytest.fixture(scope="package")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A partner's HTTP client."""
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


@pytest.fixture(scope="package")
async def standing_house(postgres: RunningPostgres, bootstrap: str, http: httpx.AsyncClient) -> AsyncIterator[House]:
    """All five services, on the broker."""
    async with AsyncExitStack() as stack:
        yield await start_house(stack, postgres, bootstrap, http)


@pytest.fixture
async def house(standing_house: House) -> House:
    """All five services, with rates that are fresh when the test begins."""
    await publish_rates(standing_house.quote)
    return standing_house


@pytest.fixture
async def desk(postgres: RunningPostgres) -> AsyncIterator[Desk]:
    """Webhooks out on a database of their own, nothing posted before a test asks for a sender."""
    async with opened_desk(postgres) as opened:
        yield opened
