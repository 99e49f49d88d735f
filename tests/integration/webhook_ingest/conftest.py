"""One door for the tests of a session: webhook-ingest with two sources, before a real trade service."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.door import (
    BANK,
    SETTLEMENT,
    Door,
    TradeDesk,
    close_door,
    close_trade_desk,
    open_door,
    open_trade_desk,
)


@pytest.fixture(scope="session")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture(scope="session")
async def desk(postgres: RunningPostgres) -> AsyncIterator[TradeDesk]:
    """The trade service."""
    desk = await open_trade_desk(await postgres.fresh_database("trade"))
    yield desk
    await close_trade_desk(desk)


@pytest.fixture(scope="session")
async def door(postgres: RunningPostgres, session: aiohttp.ClientSession, desk: TradeDesk) -> AsyncIterator[Door]:
    """Webhook-ingest before the trade service, with a settlement provider and a bank as sources."""
    url = await postgres.fresh_database("webhook_ingest")
    door = await open_door(url, session, trade_address=desk.address)
    await door.add_source(SETTLEMENT)
    await door.add_source(BANK, ["payin.credited"])
    yield door
    await close_door(door)
