"""Owns the wiring of the webhook-ingest service: what it is made of, and what calls what."""

from __future__ import annotations

from functools import partial

from poolkit.leases import Lease
from poolkit.relay import Relay
from poolkit.rpc.journey import JourneyService
from poolkit.rpc.outbox import OutboxService
from poolkit.schema import revisions_directory
from poolkit.security import Cipher
from poolkit.service import Runtime, main
from pools.trade.v1 import trade_pb2_grpc
from pools.types.v1 import journey_pb2_grpc, outbox_pb2_grpc
from pools.webhook_ingest.v1 import (
    payins_pb2_grpc,
    report_facts_pb2_grpc,
    settlement_status_pb2_grpc,
    webhook_ingest_pb2_grpc,
)
from pools_contracts.ledger import LedgerClient
from pools_contracts.trade import TradeClient
from webhook_ingest.api.admin import WebhookAdminService
from webhook_ingest.api.bodies import read_event
from webhook_ingest.api.facts import ReportFactsService
from webhook_ingest.api.http import application, refusing
from webhook_ingest.api.payins import PayinService
from webhook_ingest.api.settlement_status import SettlementStatusService
from webhook_ingest.app.allocate import AllocatePayins
from webhook_ingest.app.directory import SourceDirectory
from webhook_ingest.app.intake import Intake
from webhook_ingest.app.lanes import Lane
from webhook_ingest.app.overdue import PollOverdue
from webhook_ingest.app.payins import ProcessPayins
from webhook_ingest.app.poll import PollSettlements
from webhook_ingest.app.purge import PurgeRejected
from webhook_ingest.app.receive import ReceiveWebhooks
from webhook_ingest.app.reports import ProcessReports
from webhook_ingest.app.sources import Sources
from webhook_ingest.domain.processing import Retries
from webhook_ingest.outbound.allocations import AllocationEncoder
from webhook_ingest.outbound.events import PayinEvents
from webhook_ingest.outbound.overdue import OverdueTradesClient
from webhook_ingest.outbound.provider import ProviderClient
from webhook_ingest.outbound.references import REFERENCES_MAX, FundingReferencesClient
from webhook_ingest.outbound.settlements import SettlementsClient
from webhook_ingest.settings import WebhookIngestSettings
from webhook_ingest.store import journey
from webhook_ingest.store.webhooks import PAYIN_LANE, REPORT_LANE

MIGRATIONS = revisions_directory(__file__)
LEASE_SECONDS = 2.0
"""How long a replica that died without a word keeps the relay waiting, at most."""


async def build(runtime: Runtime[WebhookIngestSettings]) -> None:
    """Hangs the service on the runtime."""
    settings, database, mode = runtime.settings, runtime.database, runtime.mode
    cipher = Cipher(settings.encryption_key.get_secret_value())
    directory = SourceDirectory(database, cipher)
    await directory.listen()
    trade = TradeClient(runtime.channel(settings.trade_address, TradeClient.service)).trade
    lanes = build_lanes(runtime, trade)
    intake = Intake(database, directory, read_event, ReceiveWebhooks(database, lanes, settings.claim_seconds))

    url = settings.documentation_url
    runtime.add_http(application(intake, url), settings.webhook_listen, name="webhook", refuse=refusing(url))
    admin = WebhookAdminService(database, Sources(database, cipher, directory.forget), mode)
    runtime.rpc.add(webhook_ingest_pb2_grpc.add_WebhookAdminServiceServicer_to_server, admin)
    facts = ReportFactsService(database, mode)
    runtime.rpc.add(report_facts_pb2_grpc.add_ReportFactsServiceServicer_to_server, facts)
    payins = PayinService(AllocatePayins(database, funding_references(runtime), AllocationEncoder(mode)))
    runtime.rpc.add(payins_pb2_grpc.add_PayinServiceServicer_to_server, payins)
    journeys = JourneyService("webhook-ingest", partial(journey.find, database))
    runtime.rpc.add(journey_pb2_grpc.add_JourneyServiceServicer_to_server, journeys)
    runtime.rpc.add(outbox_pb2_grpc.add_OutboxServiceServicer_to_server, OutboxService(database))

    build_polls(runtime, directory, intake, lanes[0], trade)
    runtime.on_drain(intake.drain)
    for lane in lanes:
        runtime.add_loop(f"{lane.name} lane", lane.run)
        runtime.on_drain(lane.drain)
    relay = Relay(database, runtime.producer, Lease(database, "relay", LEASE_SECONDS), mode)
    runtime.add_loop("relay", relay.run)
    runtime.add_loop("outbox lag", relay.measure)
    purge = PurgeRejected(database, Lease(database, "purge", 30.0), settings.rejected_days)
    runtime.add_loop("purge", purge.run)


def build_polls(
    runtime: Runtime[WebhookIngestSettings],
    directory: SourceDirectory,
    intake: Intake,
    reports: Lane,
    trade: trade_pb2_grpc.TradeServiceAsyncStub,
) -> None:
    """The questions to the settlement provider: those that colleagues have, and those that nobody asks for too long."""
    settings, database = runtime.settings, runtime.database
    poll = None
    if settings.provider_url:
        provider = ProviderClient(
            settings.provider_url,
            token=settings.provider_token.get_secret_value(),
            seconds_max=settings.provider_seconds_max,
        )
        poll = PollSettlements(database, provider, directory, intake, reports, settings.provider_source)
        overdue = PollOverdue(
            OverdueTradesClient(trade, runtime.mode),
            poll,
            Lease(database, "overdue", LEASE_SECONDS),
            age_seconds_min=settings.reserved_seconds_max,
            pause_seconds=settings.overdue_pause_seconds,
        )
        runtime.add_loop("overdue", overdue.run)
        runtime.on_drain(poll.drain)
        runtime.on_close(provider.close)
    status = SettlementStatusService(poll, pause_seconds=settings.provider_pause_seconds, mode=runtime.mode)
    runtime.rpc.add(settlement_status_pb2_grpc.add_SettlementStatusServiceServicer_to_server, status)


def funding_references(runtime: Runtime[WebhookIngestSettings]) -> FundingReferencesClient:
    """The way to the ledger."""
    ledger = LedgerClient(runtime.channel(runtime.settings.ledger_address, LedgerClient.service))
    return FundingReferencesClient(ledger.ledger, ledger.funding_references)


def build_lanes(
    runtime: Runtime[WebhookIngestSettings], trade: trade_pb2_grpc.TradeServiceAsyncStub
) -> tuple[Lane, Lane]:
    """Reports go to trade, pay-ins to the ledger: the silence of one does not hold up the other."""
    settings, database, mode = runtime.settings, runtime.database, runtime.mode
    settlements = SettlementsClient(trade)
    references = funding_references(runtime)
    retries = Retries(
        seconds_min=settings.retry_seconds_min,
        seconds_max=settings.retry_seconds_max,
        refusals_max=settings.refusals_max,
        age_seconds_max=settings.refused_age_seconds_max,
    )
    return (
        Lane(
            REPORT_LANE,
            database,
            ProcessReports(database, settlements, mode),
            retries=retries,
            claim_seconds=settings.claim_seconds,
        ),
        Lane(
            PAYIN_LANE,
            database,
            ProcessPayins(database, references, PayinEvents(mode), mode),
            retries=retries,
            claim_seconds=settings.claim_seconds,
            batch_max=REFERENCES_MAX,
        ),
    )


def run() -> None:
    """The console entry."""
    main("webhook-ingest", WebhookIngestSettings, build, MIGRATIONS)
