"""Owns the wiring of the ledger service: what it is made of, and what calls what."""

from functools import partial

from ledger.api.admin_service import LedgerAdminService
from ledger.api.audit_service import AuditService
from ledger.api.decode import decoder
from ledger.api.event_handler import TOPICS, EventHandler
from ledger.api.funding_reference_service import FundingReferenceService
from ledger.api.inbox_service import InboxService
from ledger.api.ledger_service import LedgerService
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from ledger.app.find_records import find_records
from ledger.app.place_holds import PlaceHolds
from ledger.app.verify_ledger import VerifyLedger
from ledger.closing import add_closes
from ledger.outbound.signing_key import load_signing_key, load_trusted_keys
from ledger.rebuild import rebuild
from ledger.settings import LedgerSettings
from poolkit.inbox import EventConsumer
from poolkit.rpc.journey import JourneyService
from poolkit.schema import revisions_directory
from poolkit.service import Runtime, main
from pools.ledger.v1 import (
    audit_pb2_grpc,
    funding_references_pb2_grpc,
    inbox_pb2_grpc,
    ledger_pb2_grpc,
)
from pools.types.v1 import journey_pb2_grpc

MIGRATIONS = revisions_directory(__file__)


async def build(runtime: Runtime[LedgerSettings]) -> None:
    """Hangs the service on the runtime."""
    database, mode = runtime.database, runtime.mode
    directory = AccountDirectory(database)
    rpc = runtime.rpc
    service = LedgerService(database, PlaceHolds(database, directory), mode=mode)
    rpc.add(ledger_pb2_grpc.add_LedgerServiceServicer_to_server, service)
    rpc.add(ledger_pb2_grpc.add_LedgerAdminServiceServicer_to_server, LedgerAdminService(database))
    references = FundingReferenceService(database)
    rpc.add(funding_references_pb2_grpc.add_FundingReferenceServiceServicer_to_server, references)
    journeys = JourneyService("ledger", partial(find_records, database))
    rpc.add(journey_pb2_grpc.add_JourneyServiceServicer_to_server, journeys)

    decode, settings = decoder(mode), runtime.settings
    rpc.add(inbox_pb2_grpc.add_InboxServiceServicer_to_server, InboxService(database, decode))
    # Read now, so that a key that cannot be used shows at the start and not at the first close.
    signing_key = load_signing_key(settings.close_signing_key_file) if settings.close_signing_key_file else None
    trust = load_trusted_keys(settings.close_public_keys_directory, signing_key)
    audit = AuditService(database, VerifyLedger(database, trust, decode, mode=mode), mode=mode)
    rpc.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, audit)

    handler = EventHandler(database, ApplyEvents(database, directory, decode), decode)
    consumer = EventConsumer(
        "ledger",
        TOPICS,
        handler,
        bootstrap=settings.kafka_bootstrap,
        mode=mode,
        dead_letter_producer=runtime.producer,
    )
    runtime.add_consumer(consumer)
    add_closes(runtime, consumer.group, signing_key, trust)


def run() -> None:
    """The console entry."""
    main("ledger", LedgerSettings, build, MIGRATIONS, tasks={"rebuild": rebuild})
