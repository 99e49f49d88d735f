"""Owns the wiring of the daily close: its database, whom it asks, its RPCs, and the schedule under its lease."""

from typing import Final

from ledger.api.close_service import CloseService
from ledger.api.decode import trade_of
from ledger.api.event_handler import TOPICS
from ledger.app.close.measures import measure_forever
from ledger.app.close.run_close import Patience, RunClose
from ledger.app.close.schedule import Schedule
from ledger.outbound.fact_owners import OwnersClient
from ledger.outbound.signing_key import SigningKey, TrustedKeys
from ledger.settings import LedgerSettings
from poolkit.database import Database
from poolkit.group_progress import GroupProgress
from poolkit.leases import Lease
from poolkit.runtime import Runtime
from poolkit.settings import PREFIX
from pools.ledger.v1 import close_pb2_grpc
from pools_contracts.quote import QuoteClient
from pools_contracts.trade import TradeClient
from pools_contracts.webhook_ingest import WebhookIngestClient

# A statement may read a whole date, and a transaction stay open for as long as owners take to tell of it.
_STATEMENT_MS_MAX: Final = 300_000
_TRANSACTION_MS_MAX: Final = 900_000
_CONNECTIONS: Final = 4
_LEASE_SECONDS: Final = 10.0


def database_for_closes(url: str) -> Database:
    """The same database with the patience that a whole date takes, apart from what answers in milliseconds."""
    return Database(
        url,
        application_name="ledger close",
        pool_size=_CONNECTIONS,
        statement_timeout_ms=_STATEMENT_MS_MAX,
        idle_in_transaction_timeout_ms=_TRANSACTION_MS_MAX,
    )


def add_closes(
    runtime: Runtime[LedgerSettings], group: str, signing_key: SigningKey | None, trust: TrustedKeys
) -> None:
    """Hangs closes on the runtime; `group` is the consumer group whose progress they wait for."""
    settings, mode = runtime.settings, runtime.mode
    database = database_for_closes(settings.database_url.get_secret_value())
    runtime.on_close(database.close)
    missing = _missing(settings)
    run = RunClose(
        database,
        _owners(runtime),
        GroupProgress(settings.kafka_bootstrap, group, TOPICS, mode),
        signing_key,
        trust,
        mode=mode,
        patience=Patience(
            settings.reserved_seconds_max, settings.unprocessed_seconds_max, settings.close_wait_seconds_max
        ),
        trade_of=trade_of,
    )
    runtime.rpc.add(close_pb2_grpc.add_CloseServiceServicer_to_server, CloseService(database, run))
    runtime.add_loop("close measures", lambda: measure_forever(runtime.database))
    if missing:
        runtime.log.warning("dates_are_not_closed", unset=missing)
    elif settings.close_schedule_enabled:
        schedule = Schedule(
            database, run, delay_seconds=settings.close_delay_seconds, look_seconds=settings.close_look_seconds
        )
        # The lease beats beside long statements, so it has the service's own connections.
        lease = Lease(runtime.database, "close", _LEASE_SECONDS)
        runtime.add_loop("close", lambda: lease.run(schedule.run))


def _missing(settings: LedgerSettings) -> list[str]:
    """What has to be set before dates can be closed."""
    needed = ("trade_address", "webhook_ingest_address", "quote_address", "close_signing_key_file")
    return [f"{PREFIX}{name.upper()}" for name in needed if getattr(settings, name) is None]


def _owners(runtime: Runtime[LedgerSettings]) -> OwnersClient | None:
    settings = runtime.settings
    trade, webhook_ingest, quote = settings.trade_address, settings.webhook_ingest_address, settings.quote_address
    if trade is None or webhook_ingest is None or quote is None:
        return None
    return OwnersClient(
        trade=runtime.channel(trade, TradeClient.service),
        webhook_ingest=runtime.channel(webhook_ingest, WebhookIngestClient.service),
        quote=runtime.channel(quote, QuoteClient.service),
        mode=runtime.mode,
    )
