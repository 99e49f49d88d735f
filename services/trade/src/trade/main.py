"""Owns the wiring of the trade service: what it is made of, and what calls what."""

from __future__ import annotations

from functools import partial

from poolkit.leases import Lease
from poolkit.relay import Relay
from poolkit.rpc.journey import JourneyService
from poolkit.rpc.outbox import OutboxService
from poolkit.schema import revisions_directory
from poolkit.service import Runtime, main
from pools.trade.v1 import (
    deposit_addresses_pb2_grpc,
    reconciliation_pb2_grpc,
    trade_admin_pb2_grpc,
    trade_facts_pb2_grpc,
    trade_pb2_grpc,
)
from pools.types.v1 import journey_pb2_grpc, outbox_pb2_grpc
from pools_contracts.ledger import LedgerClient
from pools_contracts.quote import QuoteClient as QuoteStubs
from trade.api.admin_service import TradeAdminService
from trade.api.deposit_address_service import DepositAddressService
from trade.api.facts_service import TradeFactsService
from trade.api.reconciliation_service import ReconciliationService
from trade.api.trade_service import TradeService
from trade.app import measures
from trade.app.recover import Recovery
from trade.app.report import ReportSettlements
from trade.app.resolve import ReleaseTrade
from trade.app.saga import Saga
from trade.app.transact import TransactQuotes
from trade.outbound.events import TradeEvents
from trade.outbound.facts import add_facts
from trade.outbound.holds import HoldClient
from trade.outbound.quotes import QuoteClient
from trade.outbound.views import trade_message
from trade.settings import TradeSettings
from trade.store import journey

MIGRATIONS = revisions_directory(__file__)
LEASE_SECONDS = 2.0
"""How long a replica that died without a word keeps relay and recovery waiting, at most."""


async def build(runtime: Runtime[TradeSettings]) -> None:
    """Hangs the service on the runtime."""
    settings, database, mode = runtime.settings, runtime.database, runtime.mode
    quotes = QuoteStubs(runtime.channel(settings.quote_address, QuoteStubs.service))
    ledger = LedgerClient(runtime.channel(settings.ledger_address, LedgerClient.service))
    events = TradeEvents(mode)
    relay = Relay(database, runtime.producer, Lease(database, "relay", LEASE_SECONDS), mode)
    saga = Saga(database, relay, QuoteClient(quotes.quote, mode), HoldClient(ledger.ledger, mode), events)
    transact = TransactQuotes(database, saga, mode)
    service = TradeService(
        database=database,
        transact=transact,
        report=ReportSettlements(database, relay, events),
        view=trade_message,
        mode=mode,
    )
    runtime.rpc.add(trade_pb2_grpc.add_TradeServiceServicer_to_server, service)
    deposits = DepositAddressService(database, mode)
    runtime.rpc.add(deposit_addresses_pb2_grpc.add_DepositAddressServiceServicer_to_server, deposits)
    admin = TradeAdminService(ReleaseTrade(database, relay, events), trade_message, mode)
    runtime.rpc.add(trade_admin_pb2_grpc.add_TradeAdminServiceServicer_to_server, admin)
    reconciliation = ReconciliationService(database, mode)
    runtime.rpc.add(reconciliation_pb2_grpc.add_ReconciliationServiceServicer_to_server, reconciliation)
    facts = TradeFactsService(database, add_facts, mode)
    runtime.rpc.add(trade_facts_pb2_grpc.add_TradeFactsServiceServicer_to_server, facts)
    journeys = JourneyService("trade", partial(journey.find, database), partial(journey.list_journeys, database))
    runtime.rpc.add(journey_pb2_grpc.add_JourneyServiceServicer_to_server, journeys)
    runtime.rpc.add(outbox_pb2_grpc.add_OutboxServiceServicer_to_server, OutboxService(database))
    runtime.on_drain(transact.drain)

    recovery = Recovery(database, saga, claim_seconds=settings.recovery_claim_seconds)
    recovery_lease = Lease(database, "recovery", LEASE_SECONDS)
    runtime.add_loop("recovery", lambda: recovery_lease.run(recovery.run))
    runtime.add_loop("relay", relay.run)
    runtime.add_loop("outbox lag", relay.measure)
    runtime.add_loop("measures", lambda: measures.measure_forever(database))


def run() -> None:
    """The console entry."""
    main("trade", TradeSettings, build, MIGRATIONS)
