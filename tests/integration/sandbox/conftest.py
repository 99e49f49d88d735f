"""A sandbox for each test that asks, on one broker, one quote service and one webhook-ingest for the session."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from poolctl.sandbox.main import serve
from poolctl.sandbox.names import BANK_SOURCE, SETTLEMENT_SOURCE
from poolctl.sandbox.settings import SandboxSettings
from poolctl.stack.kafka import Kafka
from poolctl.stack.ports import free_port
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.kafka import Message, Producer, ensure_topics, topic
from poolkit.runtime import Runtime
from pools_contracts.quote import QuoteClient
from pools_contracts.quote import connect as connect_quote
from quote.main import build as build_quote
from quote.settings import QuoteSettings
from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.conftest import plain_log_lines
from tests.integration.webhook_ingest.door import (
    NOWHERE,
    Door,
    TradeDesk,
    close_door,
    close_trade_desk,
    open_door,
    open_trade_desk,
)
from trade.domain.trade import Trade
from trade.outbound.events import TradeEvents

__all__ = ["plain_log_lines"]


@pytest.fixture(scope="package")
async def broker(kafka: Kafka) -> str:
    await ensure_topics(kafka.bootstrap, "test")
    return kafka.bootstrap


@pytest.fixture(scope="package")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="package")
async def desk(postgres: RunningPostgres) -> AsyncIterator[TradeDesk]:
    """The trade service, without a broker: its reserved trades are announced by the test."""
    desk = await open_trade_desk(await postgres.fresh_database("trade"))
    yield desk
    await close_trade_desk(desk)


@pytest.fixture(scope="package")
async def door(postgres: RunningPostgres, session: aiohttp.ClientSession, desk: TradeDesk) -> AsyncIterator[Door]:
    """Webhook-ingest, which knows the sandbox as settlement provider and bank."""
    door = await open_door(await postgres.fresh_database("webhook_ingest"), session, trade_address=desk.address)
    await door.add_source(SETTLEMENT_SOURCE)
    await door.add_source(BANK_SOURCE, ["payin.credited"])
    yield door
    await close_door(door)


@dataclass
class QuoteDesk:
    """The quote service with its pools, which have neither rates nor inventory."""

    runtime: Runtime[QuoteSettings]
    client: QuoteClient
    database: Database

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.runtime.rpc.port}"


@pytest.fixture
async def quotes(postgres: RunningPostgres) -> AsyncIterator[QuoteDesk]:
    """Without a broker: nobody here hears of movements, and no trade is accepted."""
    url = await postgres.fresh_database("quote")
    settings = QuoteSettings(mode="test", database_url=url, kafka_bootstrap=NOWHERE, drain_seconds=1.0)  # type: ignore[arg-type]
    runtime = Runtime("quote", settings)
    await runtime.start(build_quote)
    desk = QuoteDesk(
        runtime, connect_quote(f"127.0.0.1:{runtime.rpc.port}"), Database(url, application_name="test", pool_size=2)
    )
    yield desk
    await desk.client.close()
    await desk.database.close()
    await runtime.stop()


@dataclass
class Sandbox:
    """A running sandbox, its provider's port, and the means to announce trades to it."""

    url: str
    session: aiohttp.ClientSession
    producer: Producer

    async def announce(self, *trades: Trade, traceparent: str = "") -> None:
        """Tells of reserved trades as the trade service's relay does."""
        events = [TradeEvents("test").reserved(trade, traceparent) for trade in trades]
        errors = await self.producer.send_all(
            [
                Message(
                    topic(event.topic, "test"),
                    event.key.encode(),
                    event.payload,
                    [
                        ("event-id", event.event_id.encode()),
                        ("type", event.type.encode()),
                        ("request-id", event.request_id.encode()),
                        ("traceparent", event.traceparent.encode()),
                        ("mode", b"test"),
                    ],
                )
                for event in events
            ]
        )
        assert errors == [None] * len(trades)

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.url}{path}") as response:
            return response.status, await response.json()

    async def is_ready(self) -> bool:
        try:
            return (await self.get("/readyz"))[0] == 200
        except aiohttp.ClientConnectionError:
            return False


StartSandbox = Callable[..., Awaitable[Sandbox]]


@pytest.fixture
async def start_sandbox(
    broker: str, door: Door, quotes: QuoteDesk, session: aiohttp.ClientSession
) -> AsyncIterator[StartSandbox]:
    """Starts the whole program in this process; `stop` ends the one before, as SIGTERM would."""
    running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
    producer = Producer(broker, client_id="test")

    async def stop() -> None:
        while running:
            told, task = running.pop()
            told.set()
            await task

    async def start(**changed: Any) -> Sandbox:
        await stop()
        port = free_port()
        settings = SandboxSettings(
            **{
                "mode": "test",
                "kafka_bootstrap": broker,
                "provider_listen": f"127.0.0.1:{port}",
                "webhooks_url": door.url,
                "quote_address": quotes.address,
                "settlement_source_secret": door.secrets[SETTLEMENT_SOURCE],
                "bank_source_secret": door.secrets[BANK_SOURCE],
                **changed,
            }
        )
        told = asyncio.Event()
        running.append((told, asyncio.create_task(serve(settings, told))))
        return Sandbox(f"http://127.0.0.1:{port}", session, producer)

    yield start
    await stop()
    await producer.stop()


async def reserve(desk: TradeDesk, digits: str) -> Trade:
    """A reserved trade whose address ends in these digits."""
    trade = await desk.reserve(request_id=new_id("req"))
    return replace(trade, terms=replace(trade.terms, destination_address=f"TQsomewhere{digits}"))
