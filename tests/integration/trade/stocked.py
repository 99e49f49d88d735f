"""Very many trades at once, written by the database itself, and how many of them a statement touched."""

from __future__ import annotations

import asyncpg

from poolkit.database import Unit

ORGANIZATION = "org_many"

# Every thousandth trade is rare in one way or another, the rest are settled purchases; one a second, two at a time.
_FILL = """
INSERT INTO trades (trade_id, organization_id, quote_id, pool_id, side, fiat_currency, fiat_amount, crypto_currency,
                    crypto_amount, rate, spread_bps, fee_bps, fee_amount, network, destination_address,
                    client_reference, status, request_id, traceparent, created_at, updated_at)
SELECT 'pt_test_' || lpad(n::text, 12, '0'), $1, 'pq_test_' || n, 'EUR-USDT',
       CASE WHEN n % 1000 = 1 THEN 'off_ramp' ELSE 'on_ramp' END, 'EUR', 100, 'USDT', 107.904009, 1.085, 35, 20, 0.2,
       'tron', 'TQ', '', CASE WHEN n % 1000 = 2 THEN 'failed' ELSE 'settled' END, 'req_' || n, '', at, at
FROM generate_series(1, $2::int) AS n CROSS JOIN LATERAL (
    SELECT timestamptz '2026-01-01 00:00Z' + make_interval(secs => n / 2) AS at
) AS moment
"""
_TOUCHED = "SELECT seq_tup_read + idx_tup_fetch AS touched FROM pg_stat_xact_user_tables WHERE relname = 'trades'"


async def fill(admin: asyncpg.Connection, count: int, organization_id: str = ORGANIZATION) -> None:
    """Writes `count` trades of an organization, as a superuser."""
    await admin.execute(_FILL, organization_id, count)


async def touched(unit: Unit) -> int:
    """How many rows of `trades` this transaction's statements looked at so far."""
    return int(await unit.fetch_value(_TOUCHED))
