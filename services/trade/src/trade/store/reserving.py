"""Owns the one statement that makes an intent a trade: compare and swap, trade, first transition and event together."""

from __future__ import annotations

from collections.abc import Sequence

from poolkit import outbox
from poolkit.database import Database, Unit
from poolkit.outbox import OutboxEvent, append_args
from trade.domain.intent import Attempt
from trade.domain.trade import Trade
from trade.store.intents import STATE, claims, uncontended

_TOLD = ", ".join(f"told_{column}" for column in outbox.COLUMNS.split(", "))

# What comes in is joined to its intent once and carried along: a second join would compare each with each (ADR 13).
_RESERVE = f"""
WITH reserved AS (
    UPDATE intents i SET state = 'reserved'
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::int[], $10::int[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                $16::timestamptz[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
                $23::bytea[], $24::date[])
        AS claim (trade_id, fencing, side, fiat_currency, fiat_amount, crypto_currency, crypto_amount, rate, spread_bps,
                  fee_bps, fee_amount, network, destination_address, deposit_address, client_reference, created_at,
                  {_TOLD})
    WHERE i.trade_id = claim.trade_id AND i.fencing = claim.fencing AND {STATE} = 'running'
    RETURNING i.organization_id, i.quote_id, i.pool_id, i.request_id, i.traceparent, claim.*
), moved AS (
    INSERT INTO transitions (trade_id, number, to_status, source, provider_event_id, webhook_id,
                             network_transaction_id, business_date, request_id, traceparent, created_at)
    SELECT trade_id, 0, 'reserved', 'trade', '', '', '', (created_at AT TIME ZONE 'UTC')::date, request_id, traceparent,
           created_at
    FROM reserved
), written AS (
    INSERT INTO trades (trade_id, organization_id, quote_id, pool_id, side, fiat_currency, fiat_amount, crypto_currency,
                        crypto_amount, rate, spread_bps, fee_bps, fee_amount, network, destination_address,
                        deposit_address, client_reference, request_id, traceparent, created_at, updated_at)
    SELECT trade_id, organization_id, quote_id, pool_id, side, fiat_currency, fiat_amount::numeric, crypto_currency,
           crypto_amount::numeric, rate::numeric, spread_bps, fee_bps, fee_amount::numeric, network,
           destination_address, deposit_address, client_reference, request_id, traceparent, created_at, created_at
    FROM reserved
), told AS (
    {outbox.INSERT_SQL}
    SELECT {_TOLD} FROM reserved
    RETURNING event_id, sequence
)
SELECT event_id, sequence, CASE WHEN $25 THEN pg_notify('{outbox.CHANNEL}', '') END FROM told
"""  # noqa: S608 - constants only


async def reserve(
    target: Database | Unit,
    attempts: Sequence[Attempt],
    trades: Sequence[Trade],
    events: Sequence[OutboxEvent],
    *,
    notify: bool,
) -> dict[str, int]:
    """Makes the attempts whose claim still holds reserved trades. One round trip.

    Answers the sequences of their events by the events' ids. `notify` is as in `poolkit.outbox.append`.
    """
    rows = await uncontended(
        target,
        _RESERVE,
        *claims(attempts),
        [trade.terms.side for trade in trades],
        [trade.terms.fiat_currency for trade in trades],
        [trade.terms.fiat_amount for trade in trades],
        [trade.terms.crypto_currency for trade in trades],
        [trade.terms.crypto_amount for trade in trades],
        [trade.terms.rate for trade in trades],
        [trade.terms.spread_bps for trade in trades],
        [trade.terms.fee_bps for trade in trades],
        [trade.terms.fee_amount for trade in trades],
        [trade.terms.network for trade in trades],
        [trade.terms.destination_address for trade in trades],
        [trade.deposit_address for trade in trades],
        [trade.terms.client_reference for trade in trades],
        [trade.created_at for trade in trades],
        *append_args(events),
        notify,
    )
    return {row["event_id"]: row["sequence"] for row in rows}
