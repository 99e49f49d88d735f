"""Owns the sandbox program: a provider that hears of trades, a treasury, a rate feed, and the ports beside them."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import structlog
import uvloop

from poolctl.sandbox.delivery import Poster, WebhookSender, open_session
from poolctl.sandbox.depot import Depot
from poolctl.sandbox.names import SETTLEMENT_SOURCE
from poolctl.sandbox.provider_api import ProviderApi
from poolctl.sandbox.rates import RateFeed
from poolctl.sandbox.settings import SandboxSettings
from poolctl.sandbox.settlement import IN_FLIGHT_MAX, SettlementProvider
from poolctl.sandbox.treasury import Treasury
from poolkit.inbox import EventConsumer
from poolkit.kafka import TRADE_RESERVED, Message, Producer
from poolkit.logs import configure_logging
from poolkit.readiness import Readiness
from poolkit.rpc.certificates import Certificates
from poolkit.rpc.colleagues import Colleagues
from poolkit.rpc.health import Health
from poolkit.rpc.server import RpcServer
from poolkit.settings import load
from poolkit.supervision import Loops
from poolkit.telemetry.tracing import configure_tracing, shutdown_tracing
from pools_contracts.quote import QuoteClient
from pools_contracts.trade import TradeClient

STOP_SECONDS_MAX = 3.0

log = structlog.get_logger("poolctl.sandbox")


class _NoDeadLetters(Producer):
    """The sandbox is no service and has no dead-letter topic: what it cannot read it says, and passes over."""

    async def send(self, message: Message) -> None:
        log.error("reserved_trade_passed_over", headers=[name for name, _ in message.headers])


def run() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(SandboxSettings)
    configure_logging("sandbox", settings.log_level, "json")
    configure_tracing("sandbox", settings)
    try:
        uvloop.run(_serve_until_told(settings))
    finally:
        shutdown_tracing()


async def _serve_until_told(settings: SandboxSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


@contextlib.asynccontextmanager
async def _ports(
    settings: SandboxSettings, provider: SettlementProvider, works: Callable[[], bool]
) -> AsyncIterator[None]:
    """The gRPC health port and the provider's HTTP port, open inside the block; not ready any more when it ends."""
    health = Health()
    health_server = RpcServer(settings.health_listen, name="health", health=health)
    api = ProviderApi(provider, works, settings.provider_listen)
    readiness = Readiness(health)

    async def look() -> bool:
        return works()

    readiness.add("sandbox", look)
    await health_server.start()
    await api.start()
    watch = asyncio.create_task(readiness.run(), name="readiness")
    try:
        yield
    finally:
        watch.cancel()
        await readiness.drain()
        await api.stop()
        await health_server.stop(0)


async def serve(settings: SandboxSettings, stop: asyncio.Event) -> None:
    """Starts everything, waits to be told, stops everything."""
    poster = Poster(SETTLEMENT_SOURCE, settings.settlement_source_secret.get_secret_value())
    colleagues = Colleagues("sandbox", Certificates.of(settings))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(colleagues.close)
        quote = QuoteClient(colleagues.channel(settings.quote_address, QuoteClient.service))
        http = await stack.enter_async_context(open_session(IN_FLIGHT_MAX))
        depot = None
        if settings.trade_address is not None:
            depot = Depot(quote, TradeClient(colleagues.channel(settings.trade_address, TradeClient.service)))
        provider = SettlementProvider(WebhookSender(http, settings.webhooks_url, poster))
        consumer = EventConsumer(
            "sandbox",
            [TRADE_RESERVED],
            provider.hear,
            bootstrap=settings.kafka_bootstrap,
            mode=settings.mode,
            dead_letter_producer=_NoDeadLetters(settings.kafka_bootstrap, client_id="sandbox"),
        )
        rates, treasury = RateFeed(quote, settings.rate_jitter_bps), Treasury(quote)

        def works() -> bool:
            return rates.fresh and treasury.filled and consumer.ready and (depot is None or depot.stocked)

        async with _ports(settings, provider, works):
            loops = Loops()
            loops.add("certificates", colleagues.watch)
            loops.add("rates", rates.run)
            loops.add("treasury", treasury.run)
            loops.add("consumer", consumer.run)
            if depot is not None:
                loops.add("depot", depot.run)
            loops.start()
            await stop.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await consumer.stop()
            await loops.stop(STOP_SECONDS_MAX)
