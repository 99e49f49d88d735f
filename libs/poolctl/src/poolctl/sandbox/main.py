"""Owns the sandbox program: a provider that hears of trades, a treasury, and a health port that says when both work."""

import asyncio
import contextlib
import signal

import aiohttp
import uvloop

from poolctl.sandbox.settings import SandboxSettings
from poolctl.sandbox.settlement import IN_FLIGHT_MAX, SettlementProvider
from poolctl.sandbox.treasury import Treasury
from poolkit.inbox import EventConsumer
from poolkit.kafka import Producer
from poolkit.logs import configure_logging
from poolkit.readiness import Readiness
from poolkit.rpc.channels import open_channel
from poolkit.rpc.health import Health
from poolkit.rpc.server import RpcServer
from poolkit.settings import load
from poolkit.supervision import Loops
from poolkit.telemetry.tracing import configure_tracing, shutdown_tracing
from pools_contracts.quote import QuoteClient

RESERVED_TOPIC = "pools.trade.reserved.v1"
STOP_SECONDS_MAX = 3.0


def run() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(SandboxSettings)
    configure_logging("sandbox", settings.log_level, "json")
    configure_tracing("sandbox", settings)
    try:
        uvloop.run(serve(settings))
    finally:
        shutdown_tracing()


async def serve(settings: SandboxSettings) -> None:
    """Starts everything, waits for the signal, stops everything."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    health = Health()
    server = RpcServer(settings.health_listen, name="health", health=health)
    producer = Producer(settings.kafka_bootstrap, client_id="sandbox")
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT_MAX)
    async with (
        QuoteClient(open_channel(settings.quote_address, "sandbox")) as quote,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as http,
    ):
        treasury = Treasury(quote)
        provider = SettlementProvider(http, settings.webhooks_url, settings.settlement_source_secret.get_secret_value())
        consumer = EventConsumer(
            "sandbox",
            [RESERVED_TOPIC],
            provider.hear,
            bootstrap=settings.kafka_bootstrap,
            mode=settings.mode,
            dead_letter_producer=producer,
        )
        await server.start()
        loops = Loops()
        loops.add("treasury", treasury.run)
        loops.add("consumer", consumer.run)
        loops.start()
        readiness = Readiness(health)

        async def works() -> bool:
            return treasury.done_once and consumer.ready

        readiness.add("sandbox", works)
        watch = asyncio.create_task(readiness.run())
        await stop.wait()
        await readiness.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await consumer.stop()
        await loops.stop(STOP_SECONDS_MAX)
        watch.cancel()
        await producer.stop()
        await server.stop(0)
