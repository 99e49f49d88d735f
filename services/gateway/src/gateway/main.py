"""Owns the wiring of the gateway: what it is made of, and what calls what."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence

from gateway.api.admin_rpc import AdminService
from gateway.api.edge import Edge
from gateway.api.journey_rpc import SupportService
from gateway.api.operations import partner_operations
from gateway.api.partner_rpc import add_partner_service
from gateway.api.reference import reference_pages
from gateway.api.rest import rest_app
from gateway.api.terminal_events import terminal_event_handler
from gateway.api.webhook_rpc import WebhookService
from gateway.app.access import Access
from gateway.app.administration import Administration
from gateway.app.call import Call
from gateway.app.deliveries import DeliverySender, receive_terminal_events
from gateway.app.journey import Owner
from gateway.app.keys import Keys
from gateway.app.partner import PartnerOperations
from gateway.app.product_record import RecordReader
from gateway.app.rate_limits import RateLimits
from gateway.app.request_log import RequestLog
from gateway.app.support import SupportSearch
from gateway.app.waiting_deliveries import WaitingDeliveries
from gateway.app.webhook_desk import WebhookDesk
from gateway.outbound.journey import OwnRecords, RemoteOwner
from gateway.outbound.ledger import LedgerClient
from gateway.outbound.quotes import QuoteClient
from gateway.outbound.settlements import SettlementsClient
from gateway.outbound.trades import TradeClient
from gateway.outbound.webhooks import WebhookPoster
from gateway.settings import GatewaySettings
from gateway.store import journey
from gateway.store.access import CHANGED_CHANNEL, look_up_key
from gateway.store.request_log import insert_calls
from gateway.store.support_accesses import insert_access
from poolkit.inbox import EventConsumer
from poolkit.kafka import TRADE_TERMINAL
from poolkit.rpc.journey import JourneyService
from poolkit.schema import revisions_directory
from poolkit.security import Cipher
from poolkit.service import Runtime, main
from pools.gateway.v1 import admin_pb2_grpc, webhooks_pb2_grpc
from pools.types.v1 import journey_pb2_grpc
from pools_contracts.ledger import LedgerClient as LedgerStubs
from pools_contracts.quote import QuoteClient as QuoteStubs
from pools_contracts.trade import TradeClient as TradeStubs
from pools_contracts.webhook_ingest import WebhookIngestClient as WebhookIngestStubs

MIGRATIONS = revisions_directory(__file__)


class Colleagues:
    """The other four services, each over one channel."""

    def __init__(self, runtime: Runtime[GatewaySettings]) -> None:
        settings, mode = runtime.settings, runtime.mode
        waiting_max = settings.waiting_calls_max
        quote = QuoteStubs(runtime.channel(settings.quote_address, QuoteStubs.service))
        trade = TradeStubs(runtime.channel(settings.trade_address, TradeStubs.service))
        ledger = LedgerStubs(runtime.channel(settings.ledger_address, LedgerStubs.service))
        webhook_ingest = WebhookIngestStubs(
            runtime.channel(settings.webhook_ingest_address, WebhookIngestStubs.service)
        )
        self.quotes = QuoteClient(quote.quote, mode, waiting_max=waiting_max)
        self.trades = TradeClient(trade.trade, mode, waiting_max=waiting_max)
        self.settlements = SettlementsClient(webhook_ingest.settlement_status, waiting_max=waiting_max)
        self.ledger = LedgerClient(ledger.ledger, waiting_max=waiting_max)
        self.own_journeys = JourneyService("gateway", functools.partial(journey.find, runtime.database))
        self.listers = [RemoteOwner("quote", quote.journey), RemoteOwner("trade", trade.journey)]
        self.owners: list[Owner] = [
            OwnRecords("gateway", self.own_journeys.records),
            *self.listers,
            RemoteOwner("webhook-ingest", webhook_ingest.journey),
            RemoteOwner("ledger", ledger.journey),
        ]


async def build(runtime: Runtime[GatewaySettings]) -> None:
    """Hangs the service on the runtime."""
    colleagues = Colleagues(runtime)
    await build_partner_api(runtime, colleagues)
    build_internal_api(runtime, colleagues)
    build_webhooks(runtime)


async def build_partner_api(runtime: Runtime[GatewaySettings], colleagues: Colleagues) -> None:
    """What partners reach: both edges, the look-up of keys, and the request log behind them."""
    settings, database, mode = runtime.settings, runtime.database, runtime.mode
    writer_id = secrets.randbits(63)

    async def write(calls: Sequence[Call], first_number: int) -> None:
        await insert_calls(database, calls, writer_id=writer_id, first_number=first_number)

    pepper = settings.key_pepper.get_secret_value().encode()
    access = Access(lambda key_hash: look_up_key(database, key_hash, mode), pepper)
    await database.listen(CHANGED_CHANNEL, lambda _payload: access.forget())
    request_log = RequestLog(write)
    edge = Edge(
        access=access,
        rate_limits=RateLimits(key=settings.key_rate_limit, organization=settings.organization_rate_limit),
        request_log=request_log,
        mode=mode,
        deadline_seconds=settings.call_seconds_max,
    )
    partner = PartnerOperations(
        quotes=colleagues.quotes,
        trades=colleagues.trades,
        settlements=colleagues.settlements,
        ledger=colleagues.ledger,
        ibans=settings.funding_ibans,
    )
    operations = partner_operations(partner)
    documentation_url = settings.documentation_url

    add_partner_service(runtime.add_rpc(settings.partner_grpc_listen, "partner"), edge, operations)
    rest, refuse = rest_app(edge, operations, reference_pages(operations, documentation_url), documentation_url)
    runtime.add_http(
        rest,
        settings.partner_rest_listen,
        name="partner-rest",
        deadline_seconds=settings.call_seconds_max,
        refuse=refuse,
    )
    runtime.add_loop("request log", request_log.run)
    for drain in (*colleagues.quotes.drains, *colleagues.trades.drains, request_log.drain):
        runtime.on_drain(drain)


def build_internal_api(runtime: Runtime[GatewaySettings], colleagues: Colleagues) -> None:
    """What colleagues reach: provisioning and support search."""
    settings, database, mode = runtime.settings, runtime.database, runtime.mode
    cipher = Cipher(settings.encryption_key.get_secret_value())
    keys = Keys(database, pepper=settings.key_pepper.get_secret_value().encode())
    desk = WebhookDesk(database, cipher)
    administration = Administration(
        database,
        quotes=colleagues.quotes,
        ledger=colleagues.ledger,
        cipher=cipher,
        keys=keys,
        allow_private_endpoints=settings.allow_private_endpoints,
    )
    search = SupportSearch(
        colleagues.owners,
        colleagues.listers,
        RecordReader(
            colleagues.quotes, colleagues.trades, functools.partial(journey.find_quoted_and_accepted, database)
        ),
        functools.partial(insert_access, database),
        mode=mode,
    )
    runtime.rpc.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, AdminService(administration, keys, desk, mode))
    runtime.rpc.add(webhooks_pb2_grpc.add_WebhookServiceServicer_to_server, WebhookService(desk))
    runtime.rpc.add(admin_pb2_grpc.add_SupportServiceServicer_to_server, SupportService(search))
    runtime.rpc.add(journey_pb2_grpc.add_JourneyServiceServicer_to_server, colleagues.own_journeys)


def build_webhooks(runtime: Runtime[GatewaySettings]) -> None:
    """Terminal events in, webhooks out."""
    settings, database = runtime.settings, runtime.database
    schedule = settings.retry_schedule
    poster = WebhookPoster(
        Cipher(settings.encryption_key.get_secret_value()), allow_private=settings.allow_private_endpoints
    )
    sender = DeliverySender(database, poster, schedule, failing_seconds_max=settings.endpoint_failing_seconds_max)
    receive = functools.partial(receive_terminal_events, database, schedule=schedule)
    runtime.add_consumer(
        EventConsumer(
            "gateway",
            [TRADE_TERMINAL],
            terminal_event_handler(receive),
            bootstrap=settings.kafka_bootstrap,
            mode=runtime.mode,
            dead_letter_producer=runtime.producer,
        )
    )
    runtime.add_loop("webhooks", sender.run)
    runtime.add_loop("waiting deliveries", WaitingDeliveries(database).run)
    runtime.on_drain(sender.drain)
    runtime.on_close(poster.close)


def run() -> None:
    """The console entry."""
    main("gateway", GatewaySettings, build, MIGRATIONS)
