"""The JSON shapes partners see: camelCase, null where a value is absent, and no field that is not named here.

Source: contract section 5, shapes. Nothing about venues or providers can slip in, since every key is written out.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from gateway.domain.offers import Balance, Capabilities, Funding
from gateway.domain.records import EntryRecord, Moment, PoolRecord, QuoteRecord, TradeRecord

View: TypeAlias = dict[str, object]

# By the numbers of the enums in pools.types.v1; zero is "not stated".
SIDES: Final = (None, "on_ramp", "off_ramp")
QUOTE_TYPES: Final = ("firm", "firm", "indicative")
QUOTE_STATUSES: Final = (None, "active", "consumed", "rejected", "expired")
TRADE_STATUSES: Final = (None, "reserved", "settled", "failed", "released", "returned")
RESERVED: Final = TRADE_STATUSES.index("reserved")
RECONCILIATION_STATES: Final = ("open", "open", "matched", "exception")

_MILLISECOND_TEXTS: Final = tuple(f".{millisecond:03d}Z" for millisecond in range(1000))


def time_text(moment: Moment) -> str | None:
    """RFC 3339 in UTC with milliseconds, cut not rounded; None where the moment is not set."""
    seconds, nanos = moment.seconds, moment.nanos
    if not seconds and not nanos:
        return None
    return _second_text(seconds) + _MILLISECOND_TEXTS[nanos // 1_000_000]


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    # Under load thousands of moments share their second.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def pool_view(pool: PoolRecord) -> View:
    """One line of the pool list."""
    return {
        "id": pool.pool_id,
        "pair": f"{pool.fiat_currency}/{pool.crypto_currency}",
        "fiatCurrency": pool.fiat_currency,
        "cryptoCurrency": pool.crypto_currency,
        "available": pool.available,
    }


def pools_view(*, pools: Iterable[PoolRecord], next_cursor: str) -> View:
    """A page of pools."""
    return {
        "pools": [pool_view(pool) for pool in pools],
        "hasMore": bool(next_cursor),
        "nextCursor": next_cursor or None,
    }


def capabilities_view(capabilities: Capabilities) -> View:
    """What a pool offers the organization."""
    pool, terms = capabilities.pool, capabilities.terms
    return {
        "poolId": pool.pool_id,
        "pair": f"{pool.fiat_currency}/{pool.crypto_currency}",
        "fiatCurrency": pool.fiat_currency,
        "cryptoCurrency": pool.crypto_currency,
        "supportedNetworks": list(pool.supported_networks),
        "sides": [SIDES[side] for side in capabilities.sides],
        "tier": capabilities.tier,
        "drawFeeBps": terms.fee_bps if terms is not None else None,
        "spreadCapBps": terms.spread_bps if terms is not None else None,
        "minOrder": pool.order_min.amount,
        "maxOrder": pool.order_max.amount,
        "quoteTtlSeconds": pool.quote_ttl_seconds,
    }


def balance_view(balance: Balance) -> View:
    """What the organization has in the pool's fiat currency."""
    return {
        "tier": balance.tier,
        "allowedPools": list(balance.pool_ids),
        "available": balance.available,
        "currency": balance.currency,
        "balance": balance.amount,
    }


def funding_view(funding: Funding) -> View:
    """How to pay in."""
    return {
        "currency": funding.currency,
        "iban": funding.iban,
        "reference": funding.reference,
        "instructions": funding.instructions,
    }


def quote_view(quote: QuoteRecord) -> View:
    """A quote; where none can be given now everything that was not priced is null."""
    fiat, crypto = quote.fiat, quote.crypto
    fiat_currency, crypto_currency = fiat.currency, crypto.currency
    available = quote.available
    return {
        "available": available,
        "unavailableReason": quote.unavailable_reason or None,
        "quoteId": quote.quote_id or None,
        "type": QUOTE_TYPES[quote.type],
        "status": QUOTE_STATUSES[quote.status],
        "poolId": quote.pool_id,
        "pair": f"{fiat_currency}/{crypto_currency}" if fiat_currency and crypto_currency else None,
        "side": SIDES[quote.side],
        "fiatCurrency": fiat_currency or None,
        "cryptoCurrency": crypto_currency or None,
        "fiatAmount": fiat.amount or None,
        "cryptoAmount": crypto.amount or None,
        "rate": quote.rate or None,
        "spreadBps": quote.spread_bps if available else None,
        "feeBps": quote.fee_bps if available else None,
        "feeAmount": quote.fee.amount or None,
        "network": quote.network or None,
        "destinationAddress": quote.destination_address or None,
        "clientReference": quote.client_reference or None,
        "createdAt": time_text(quote.create_time),
        "expiresAt": time_text(quote.expire_time),
    }


def trade_view(trade: TradeRecord) -> View:
    """A trade: the same shape wherever one appears, in answers, lists and webhooks."""
    fiat, crypto = trade.fiat, trade.crypto
    return {
        "transactId": trade.transact_id,
        "quoteId": trade.quote_id,
        "poolId": trade.pool_id,
        "side": SIDES[trade.side],
        "status": TRADE_STATUSES[trade.status],
        "fiatCurrency": fiat.currency,
        "fiatAmount": fiat.amount,
        "cryptoCurrency": crypto.currency,
        "cryptoAmount": crypto.amount,
        "rate": trade.rate,
        "spreadBps": trade.spread_bps,
        "feeBps": trade.fee_bps,
        "feeAmount": trade.fee.amount,
        "network": trade.network,
        "destinationAddress": trade.destination_address or None,
        "depositAddress": trade.deposit_address or None,
        "networkTransactionId": trade.network_transaction_id or None,
        "clientReference": trade.client_reference or None,
        "requestId": trade.request_id,
        "reconciliationState": RECONCILIATION_STATES[trade.reconciliation_state],
        "createdAt": time_text(trade.create_time),
        "updatedAt": time_text(trade.update_time),
        "terminalAt": time_text(trade.terminal_time),
    }


def trades_view(*, trades: Iterable[TradeRecord], next_cursor: str) -> View:
    """A page of trades."""
    return {
        "trades": [trade_view(trade) for trade in trades],
        "hasMore": bool(next_cursor),
        "nextCursor": next_cursor or None,
    }


def entry_view(entry: EntryRecord) -> View:
    """One line of a partner's ledger."""
    return {
        "id": entry.entry_id,
        "delta": entry.delta.amount,
        "reason": entry.reason,
        "ref": entry.ledger_transaction_id,
        "balanceAfter": entry.balance_after.amount,
        "createdAt": time_text(entry.create_time),
        "transactId": entry.transact_id or None,
        "clientReference": entry.client_reference or None,
    }


def ledger_view(*, currency: str, available: str, entries: Iterable[EntryRecord], next_cursor: str) -> View:
    """A page of the ledger with the balance now."""
    return {
        "currency": currency,
        "available": available,
        "entries": [entry_view(entry) for entry in entries],
        "hasMore": bool(next_cursor),
        "nextCursor": next_cursor or None,
    }


def webhook_view(*, event_id: str, event_type: str, occurred: Moment, trade: TradeRecord) -> View:
    """The body of an outgoing webhook: the trade as of the transition. Source: contract section 7."""
    return {"eventId": event_id, "type": event_type, "createdAt": time_text(occurred), "data": trade_view(trade)}
