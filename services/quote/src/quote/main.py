"""Owns the wiring of the quote service: what it is made of, and what calls what."""

from functools import partial

from poolkit.inbox import EventConsumer
from poolkit.kafka import TRADE_TERMINAL
from poolkit.leases import Lease
from poolkit.relay import Relay
from poolkit.rpc.journey import JourneyService
from poolkit.rpc.outbox import OutboxService
from poolkit.schema import revisions_directory
from poolkit.service import Runtime, main
from pools.quote.v1 import inventory_facts_pb2_grpc, quote_pb2_grpc
from pools.types.v1 import journey_pb2_grpc, outbox_pb2_grpc
from quote.api.admin_service import QuoteAdminService
from quote.api.facts_service import InventoryFactsService
from quote.api.quote_service import QuoteService
from quote.api.terminal_consumer import TerminalConsumer
from quote.app.quote_maker import QuoteMaker
from quote.app.seed_pools import seed_pools
from quote.app.sweep_quotes import sweep_forever
from quote.outbound.events import TreasuryEvents
from quote.settings import QuoteSettings
from quote.store import journey

MIGRATIONS = revisions_directory(__file__)


async def build(runtime: Runtime[QuoteSettings]) -> None:
    """Hangs the service on the runtime."""
    settings, database, mode = runtime.settings, runtime.database, runtime.mode
    if mode == "test":
        await seed_pools(database)
    admin = QuoteAdminService(database, mode, TreasuryEvents(mode))
    maker = QuoteMaker(database, mode)
    runtime.on_drain(maker.drain)
    runtime.rpc.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, QuoteService(database, maker, mode))
    runtime.rpc.add(quote_pb2_grpc.add_QuoteAdminServiceServicer_to_server, admin)
    facts = InventoryFactsService(database, mode)
    runtime.rpc.add(inventory_facts_pb2_grpc.add_InventoryFactsServiceServicer_to_server, facts)
    journeys = JourneyService("quote", partial(journey.find, database), partial(journey.list_journeys, database))
    runtime.rpc.add(journey_pb2_grpc.add_JourneyServiceServicer_to_server, journeys)
    runtime.rpc.add(outbox_pb2_grpc.add_OutboxServiceServicer_to_server, OutboxService(database))

    sweeping = Lease(database, "sweep")
    runtime.add_loop("sweep", lambda: sweeping.run(lambda: sweep_forever(database, settings.sweep_interval_seconds)))
    relay = Relay(database, runtime.producer, Lease(database, "relay"), mode)
    runtime.add_loop("relay", relay.run)
    runtime.add_loop("outbox lag", relay.measure)
    runtime.add_consumer(
        EventConsumer(
            "quote",
            [TRADE_TERMINAL],
            TerminalConsumer(database),
            bootstrap=settings.kafka_bootstrap,
            mode=mode,
            dead_letter_producer=runtime.producer,
        )
    )


def run() -> None:
    """The console entry."""
    main("quote", QuoteSettings, build, MIGRATIONS)
