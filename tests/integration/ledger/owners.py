"""The three owners whose facts a close asks for, on databases of their own, with rows planted as a superuser."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ledger.outbound.fact_owners import OwnersClient
from poolkit.database import Database
from poolkit.ids import event_id, new_id
from poolkit.rpc.channels import open_channel
from poolkit.rpc.outbox import OutboxService
from poolkit.rpc.server import RpcServer
from pools.quote.v1 import inventory_facts_pb2_grpc
from pools.trade.v1 import reconciliation_pb2_grpc, trade_facts_pb2_grpc
from pools.types.v1 import outbox_pb2_grpc
from pools.webhook_ingest.v1 import report_facts_pb2_grpc
from quote.api.facts_service import InventoryFactsService
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.events import UNSAMPLED
from trade.api.facts_service import TradeFactsService
from trade.api.reconciliation_service import ReconciliationService
from trade.outbound.facts import add_facts
from webhook_ingest.api.facts import ReportFactsService

DAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

BUY: dict[str, Any] = {"side": "on_ramp", "fiat": "100.00", "fee": "0.20", "crypto": "107.904009"}
SELL: dict[str, Any] = {"side": "off_ramp", "fiat": "91.65", "fee": "0.19", "crypto": "100.000000"}

_TRADE = """
INSERT INTO trades (trade_id, organization_id, quote_id, pool_id, side, fiat_currency, fiat_amount, crypto_currency,
                    crypto_amount, rate, spread_bps, fee_bps, fee_amount, network, destination_address,
                    client_reference, status, terminal_count, request_id, traceparent, created_at, updated_at)
VALUES ($1, $2, $3, 'EUR-USDT', $4, 'EUR', $5::text::numeric, 'USDT', $6::text::numeric, 1.085, 35, 20,
        $7::text::numeric, 'tron', 'T1', 'mobile_checkout_123', $8, $9, 'req_1', $10, $11, $11)
"""
_TRANSITION = """
INSERT INTO transitions (trade_id, number, from_status, to_status, source, provider_event_id, webhook_id,
                         reported_currency, reported_amount, network_transaction_id, business_date, request_id,
                         traceparent, created_at)
VALUES ($1, $2, 'reserved', $3, 'settlement', $4, $5, $6, $7::text::numeric, '0x1', $8, 'req_1', $9, $10)
"""
_WEBHOOK = """
INSERT INTO webhooks (webhook_id, source, provider_event_id, kind, transact_id, network_transaction_id, currency,
                      amount, funding_reference, bank_transaction_id, payin_event_id, occurred_at, fingerprint,
                      first_webhook_id, refusal_reason, body, request_id, traceparent, received_at)
VALUES ($1, $2, $3, $4, $5, '', $6, $7::text::numeric, $8, $9, $10, $11, $12, $13, $14, '', 'req_1', $15, $11)
"""
_ATTEMPT = """
INSERT INTO webhook_attempts (webhook_id, number, outcome, effect, detail, organization_id, request_id, traceparent,
                              attempted_at, created_at)
VALUES ($1, 1, $2, $3, $4, $5, 'req_1', $6, $7, $7)
"""
_STOCK = """
INSERT INTO inventory_days (pool_id, currency, business_date, amount, movement_count)
VALUES ('EUR-USDT', 'USDT', $1, $2, 1)
ON CONFLICT (pool_id, currency, business_date) DO UPDATE
    SET amount = inventory_days.amount + excluded.amount, movement_count = inventory_days.movement_count + 1
"""


class Owners:
    """Trade, webhook-ingest and quote as a close sees them; the databases are the superuser's."""

    def __init__(self, client: OwnersClient, trade: Database, webhook_ingest: Database, quote: Database) -> None:
        self.client = client
        self.trade = trade
        self.webhook_ingest = webhook_ingest
        self.quote = quote

    async def add_trade(
        self, trade_id: str, organization_id: str, terms: dict[str, Any], *statuses: str, at: datetime = NOON
    ) -> str:
        """A trade that went through these statuses on the date, reported by webhooks; none leaves it reserved."""
        status = statuses[-1] if statuses else "reserved"
        await self.trade.execute(
            _TRADE,
            *(trade_id, organization_id, trade_id.replace("pt_", "pq_"), terms["side"]),
            *(terms["fiat"], terms["crypto"], terms["fee"], status, len(statuses), UNSAMPLED),
            at - timedelta(minutes=1),
        )
        for number, reached in enumerate(statuses, 1):
            amount = terms["crypto"] if reached == "settled" else None
            webhook_id = await self.add_report(trade_id, reached, amount, effect="applied", at=at)
            await self.trade.execute(
                _TRANSITION,
                *(trade_id, number, reached, f"evt_{webhook_id}", webhook_id, "USDT" if amount else None, amount),
                *(at.date(), UNSAMPLED, at),
            )
        return trade_id

    async def add_report(
        self,
        trade_id: str,
        status: str,
        amount: str | None = None,
        *,
        effect: str = "",
        given_up: str = "",
        conflicts_with: str = "",
        at: datetime = NOON,
    ) -> str:
        """A provider's report with what became of it."""
        webhook_id = new_id("whe")
        await self._add_webhook(
            *(webhook_id, "settlement", f"evt_{conflicts_with or webhook_id}", f"trade.{status}", trade_id),
            *("USDT" if amount else "", amount, "", "", ""),
            at=at,
            conflicts_with=conflicts_with,
        )
        if given_up:
            await self._give_up(webhook_id, given_up, at)
        elif effect:
            await self._attempt(webhook_id, "processed", effect, "", "", at)
        return webhook_id

    async def add_payin(self, event: str, organization_id: str, amount: str = "1000.00") -> str:
        """A bank's report of money received, which took effect."""
        webhook_id = new_id("whe")
        await self._add_webhook(
            *(webhook_id, "bank", f"evt_{webhook_id}", "payin.credited", ""),
            *("EUR", amount, "0PREFERENCE", f"bank_{webhook_id}", event),
            at=NOON,
        )
        await self._attempt(webhook_id, "processed", "credited", "", organization_id, NOON)
        return webhook_id

    async def move_stock(self, amount: str) -> None:
        """What a movement did to the pool, as quote counts it."""
        await self.quote.execute(_STOCK, DAY, Decimal(amount))

    async def _add_webhook(self, *values: Any, at: datetime, conflicts_with: str = "") -> None:
        fingerprint = hashlib.sha256(values[0].encode()).digest()
        refusal = "event_conflict" if conflicts_with else ""
        await self.webhook_ingest.execute(
            _WEBHOOK, *values, at, fingerprint, conflicts_with or None, refusal, UNSAMPLED
        )

    async def _attempt(
        self, webhook_id: str, outcome: str, effect: str, detail: str, organization_id: str, at: datetime
    ) -> None:
        await self.webhook_ingest.execute(_ATTEMPT, webhook_id, outcome, effect, detail, organization_id, UNSAMPLED, at)

    async def _give_up(self, webhook_id: str, why: str, at: datetime) -> None:
        await self._attempt(webhook_id, "exception", "", why, "", at)
        await self.webhook_ingest.execute(
            """
            INSERT INTO unprocessed_webhooks
                (webhook_id, lane, attempt_number, under_way, next_attempt_at, stored_at, given_up_at)
            VALUES ($1, 'report', 1, false, $2, $2, $2)
            """,
            webhook_id,
            at,
        )


def terminal_event_id(trade_id: str, status: str) -> str:
    """The event's id everywhere."""
    return event_id(trade_id, f"pool.transaction.{status}")


@asynccontextmanager
async def open_owners(postgres: RunningPostgres) -> AsyncIterator[Owners]:
    """Fresh databases, and the services that tell of them, on ports of their own."""
    databases, admins, channels, servers = {}, {}, {}, []
    for name in ("trade", "webhook_ingest", "quote"):
        url = await postgres.fresh_database(name)
        databases[name] = database = Database(url, application_name="tested")
        admins[name] = Database(postgres.admin_url(url), application_name="test", pool_size=2)
        server = RpcServer("127.0.0.1:0", name="internal")
        _serve(server, name, database)
        channels[name] = open_channel(f"127.0.0.1:{await server.start()}", "ledger")
        servers.append(server)
    try:
        yield Owners(OwnersClient(**channels, mode="test"), **admins)
    finally:
        for channel in channels.values():
            await channel.close()
        for server in servers:
            await server.stop(0)
        for each in (*databases.values(), *admins.values()):
            await each.close()


def _serve(server: RpcServer, name: str, database: Database) -> None:
    server.add(outbox_pb2_grpc.add_OutboxServiceServicer_to_server, OutboxService(database))
    if name == "trade":
        trades = TradeFactsService(database, add_facts, "test")
        server.add(trade_facts_pb2_grpc.add_TradeFactsServiceServicer_to_server, trades)
        reconciliation = ReconciliationService(database, "test")
        server.add(reconciliation_pb2_grpc.add_ReconciliationServiceServicer_to_server, reconciliation)
    elif name == "webhook_ingest":
        reports = ReportFactsService(database, "test")
        server.add(report_facts_pb2_grpc.add_ReportFactsServiceServicer_to_server, reports)
    else:
        inventory = InventoryFactsService(database, "test")
        server.add(inventory_facts_pb2_grpc.add_InventoryFactsServiceServicer_to_server, inventory)
