"""One door for the tests of a session: webhook-ingest with two sources, before a real trade service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import structlog

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
from tests.integration.webhook_ingest.ledger_desk import LedgerDesk, close_ledger_desk, open_ledger_desk

OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture(scope="package", autouse=True)
def plain_log_lines() -> None:
    """Without it structlog would draw every traceback with all the values in it, which takes minutes of a loop."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    )


@pytest.fixture(scope="package")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture(scope="package")
async def desk(postgres: RunningPostgres) -> AsyncIterator[TradeDesk]:
    """The trade service."""
    desk = await open_trade_desk(await postgres.fresh_database("trade"))
    yield desk
    await close_trade_desk(desk)


@pytest.fixture(scope="package")
async def ledger(postgres: RunningPostgres) -> AsyncIterator[LedgerDesk]:
    """The ledger, without a broker: it knows references and hears of nothing."""
    ledger = await open_ledger_desk(await postgres.fresh_database("ledger"))
    yield ledger
    await close_ledger_desk(ledger)


@pytest.fixture(scope="package")
async def door(
    postgres: RunningPostgres, session: aiohttp.ClientSession, desk: TradeDesk, ledger: LedgerDesk
) -> AsyncIterator[Door]:
    """Webhook-ingest before trade and ledger, with a settlement provider and a bank as sources."""
    url = await postgres.fresh_database("webhook_ingest")
    door = await open_door(url, session, trade_address=desk.address, ledger_address=ledger.address)
    await door.add_source(SETTLEMENT)
    await door.add_source(BANK, ["payin.credited"])
    yield door
    await close_door(door)


@pytest.fixture
async def open_another(postgres: RunningPostgres, session: aiohttp.ClientSession) -> AsyncIterator[OpenDoor]:
    """Opens doors with settings of the test's own, and closes them behind it."""
    opened: list[Door] = []

    async def open_one(url: str = "", **settings: Any) -> Door:
        first = not opened
        url = url or await postgres.fresh_database("webhook_ingest")
        door = await open_door(url, session, **settings)
        opened.append(door)
        if first:
            await door.add_source(SETTLEMENT)
            await door.add_source(BANK, ["payin.credited"])
        else:
            door.secrets = opened[0].secrets
        return door

    yield open_one
    for door in opened:
        await close_door(door)
