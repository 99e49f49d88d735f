"""Trades and reports to test with, alike but for what a test names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from trade.domain.intent import TransactRequest
from trade.domain.lifecycle import Report
from trade.domain.trade import Side, Status, Terms, Trade

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

TERMS = Terms(
    side=Side.ON_RAMP,
    fiat_currency="EUR",
    fiat_amount="100.00",
    crypto_currency="USDT",
    crypto_amount="107.904009",
    rate="1.085000",
    spread_bps=35,
    fee_bps=20,
    fee_amount="0.20",
    network="tron",
    destination_address="TQabcdefgh0001",
    client_reference="order-1",
)


def trade(status: Status = Status.RESERVED, *, side: Side = Side.ON_RAMP, terminal_count: int = 0) -> Trade:
    """A trade in the given status."""
    return Trade(
        trade_id="pt_test_1",
        organization_id="org_1",
        quote_id="pq_test_1",
        pool_id="EUR-USDT",
        terms=replace(TERMS, side=side),
        status=status,
        request_id="req_1",
        created_at=NOW,
        updated_at=NOW,
        terminal_count=terminal_count,
    )


def report(status: Status, *, crypto_amount: str = "107.904009", crypto_currency: str = "USDT") -> Report:
    """A provider's report."""
    return Report(
        trade_id="pt_test_1",
        status=status,
        source="sandbox-settlement",
        provider_event_id=f"event-{status}",
        webhook_id="whe_1",
        network_transaction_id="0xabc",
        crypto_currency=crypto_currency,
        crypto_amount=crypto_amount,
        occurred_at=NOW,
        request_id="req_report",
        traceparent="",
    )


def transact_request(*, key: str = "key-1", quote: str = "pq_test_1", pool: str = "EUR-USDT") -> TransactRequest:
    """A request to accept a quote."""
    return TransactRequest(
        organization_id="org_1",
        request_id="req_1",
        traceparent="",
        idempotency_key=key,
        quote_id=quote,
        pool_id=pool,
    )
