"""Owns the table `unapplied_reports`: early returns waiting for their settled, and refused reports."""

from __future__ import annotations

from collections.abc import Sequence

from poolkit.database import Unit
from trade.domain.lifecycle import Report
from trade.domain.trade import Status

_INSERT = """
INSERT INTO unapplied_reports (trade_id, kind, status, refusal_reason, source, provider_event_id, webhook_id,
                               network_transaction_id, crypto_currency, crypto_amount, occurred_at, request_id,
                               traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::text[])
ON CONFLICT DO NOTHING
"""

_EARLY = "SELECT * FROM unapplied_reports WHERE kind = 'early' AND trade_id = ANY($1::text[])"


async def keep(unit: Unit, reports: Sequence[tuple[Report, str, str]]) -> None:
    """Stores reports that moved nothing, each with its kind (`early`, `refused`) and the reason of a refusal.

    Safe to repeat: a trade's early return is kept once, and a webhook that it refuses is too.
    """
    await unit.execute(
        _INSERT,
        [report.trade_id for report, _, _ in reports],
        [kind for _, kind, _ in reports],
        [report.status for report, _, _ in reports],
        [reason for _, _, reason in reports],
        [report.source for report, _, _ in reports],
        [report.provider_event_id for report, _, _ in reports],
        [report.webhook_id for report, _, _ in reports],
        [report.network_transaction_id for report, _, _ in reports],
        [report.crypto_currency for report, _, _ in reports],
        [report.crypto_amount for report, _, _ in reports],
        [report.occurred_at for report, _, _ in reports],
        [report.request_id for report, _, _ in reports],
        [report.traceparent for report, _, _ in reports],
    )


async def find_early(unit: Unit, trade_ids: Sequence[str]) -> dict[str, Report]:
    """Reads the early returns of locked trades."""
    rows = await unit.fetch(_EARLY, list(trade_ids))
    return {
        row["trade_id"]: Report(
            trade_id=row["trade_id"],
            status=Status(row["status"]),
            source=row["source"],
            provider_event_id=row["provider_event_id"],
            webhook_id=row["webhook_id"],
            network_transaction_id=row["network_transaction_id"],
            crypto_currency=row["crypto_currency"],
            crypto_amount=row["crypto_amount"],
            occurred_at=row["occurred_at"],
            request_id=row["request_id"],
            traceparent=row["traceparent"],
        )
        for row in rows
    }
