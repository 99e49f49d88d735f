"""Translations between the messages of PartnerService and what the use cases take and answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.app.ports import EntryPage, PoolPage, TradePage
from gateway.domain.offers import Balance, Capabilities, Funding
from gateway.domain.records import QuoteRecord
from gateway.domain.views import SIDES, TRADE_STATUSES
from poolkit.errors import InvalidRequest
from poolkit.rpc.convert import to_time
from pools.gateway.v1 import partner_pb2
from pools.types.v1 import types_pb2

_TYPES = (None, "firm", "indicative")


def _given(**fields: object) -> dict[str, object]:
    """The fields that were set: an empty one of a message is absent from the request."""
    return {name: value for name, value in fields.items() if value}


def pools_fields(message: partner_pb2.ListPoolsRequest) -> tuple[str, dict[str, object]]:
    """Which pools to list."""
    return "", _given(limit=message.page_size, cursor=message.page_token)


def quote_fields(message: partner_pb2.CreateQuoteRequest) -> tuple[str, dict[str, object]]:
    """An amount to price."""
    return message.pool_id, _given(
        side=_name(SIDES, message.side),
        amount=message.amount.amount,
        amountCurrency=message.amount.currency,
        network=message.network,
        destinationAddress=message.destination_address,
        type=_name(_TYPES, message.type),
        clientReference=message.client_reference,
    )


def _name(names: Sequence[str | None], number: int) -> str | None:
    # A number of a newer contract is no side we know.
    return names[number] if 0 <= number < len(names) else str(number)


def quote_message(quote: QuoteRecord) -> types_pb2.Quote:
    """The quote as its owner wrote it; where the owner could not be asked, what is known without it."""
    if isinstance(quote, types_pb2.Quote):
        return quote
    return types_pb2.Quote(
        available=quote.available,
        unavailable_reason=quote.unavailable_reason,
        type=types_pb2.QuoteType.ValueType(quote.type),
        pool_id=quote.pool_id,
        side=types_pb2.Side.ValueType(quote.side),
        fiat=types_pb2.Money(amount=quote.fiat.amount, currency=quote.fiat.currency),
        crypto=types_pb2.Money(amount=quote.crypto.amount, currency=quote.crypto.currency),
        network=quote.network,
        destination_address=quote.destination_address,
        client_reference=quote.client_reference,
    )


def pools_response(page: PoolPage) -> partner_pb2.ListPoolsResponse:
    """A page of pools; of each no more than a partner may see."""
    return partner_pb2.ListPoolsResponse(
        pools=[
            partner_pb2.PartnerPool(
                pool_id=pool.pool_id,
                pair=f"{pool.fiat_currency}/{pool.crypto_currency}",
                fiat_currency=pool.fiat_currency,
                crypto_currency=pool.crypto_currency,
                available=pool.available,
            )
            for pool in page.pools
        ],
        next_page_token=page.next_cursor,
    )


def capabilities_response(capabilities: Capabilities) -> partner_pb2.GetCapabilitiesResponse:
    """What a pool offers the organization."""
    pool, terms = capabilities.pool, capabilities.terms
    return partner_pb2.GetCapabilitiesResponse(
        capabilities=partner_pb2.Capabilities(
            pool_id=pool.pool_id,
            pair=f"{pool.fiat_currency}/{pool.crypto_currency}",
            fiat_currency=pool.fiat_currency,
            crypto_currency=pool.crypto_currency,
            supported_networks=pool.supported_networks,
            sides=[types_pb2.Side.ValueType(side) for side in capabilities.sides],
            tier=capabilities.tier,
            draw_fee_bps=terms.fee_bps if terms is not None else 0,
            spread_cap_bps=terms.spread_bps if terms is not None else 0,
            order_min=types_pb2.Money(amount=pool.order_min.amount, currency=pool.order_min.currency),
            order_max=types_pb2.Money(amount=pool.order_max.amount, currency=pool.order_max.currency),
            quote_ttl_seconds=pool.quote_ttl_seconds,
        )
    )


def balance_response(balance: Balance) -> partner_pb2.GetBalanceResponse:
    """What the organization has."""
    amount = None
    if balance.amount is not None:
        amount = types_pb2.Money(amount=balance.amount, currency=balance.currency)
    return partner_pb2.GetBalanceResponse(
        tier=balance.tier, allowed_pool_ids=balance.pool_ids, available=balance.available, balance=amount
    )


def funding_response(funding: Funding) -> partner_pb2.GetFundingResponse:
    """How to pay in."""
    return partner_pb2.GetFundingResponse(
        currency=funding.currency,
        iban=funding.iban or "",
        reference=funding.reference,
        instructions=funding.instructions,
    )


def trades_fields(message: partner_pb2.ListTradesRequest) -> tuple[str, dict[str, object]]:
    """Which trades to list. Raises InvalidRequest for a moment that is in no calendar."""
    after = _moment(message.created_after_time, "created_after") if message.HasField("created_after_time") else None
    before = _moment(message.created_before_time, "created_before") if message.HasField("created_before_time") else None
    return "", _given(
        side=_name(SIDES, message.side),
        status=_name(TRADE_STATUSES, message.status),
        created_after=after,
        created_before=before,
        limit=message.page_size,
        cursor=message.page_token,
    )


def _moment(proto: Timestamp, field: str) -> datetime:
    try:
        return to_time(proto)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest("it lies in no year from 1 to 9999 in UTC.", field=field) from None


def trades_response(page: TradePage) -> partner_pb2.ListTradesResponse:
    """A page of trades."""
    return partner_pb2.ListTradesResponse(
        trades=[trade for trade in page.trades if isinstance(trade, types_pb2.Trade)],
        next_page_token=page.next_cursor,
    )


def ledger_fields(message: partner_pb2.ListLedgerEntriesRequest) -> tuple[str, dict[str, object]]:
    """Which entries to list."""
    return "", _given(currency=message.currency, limit=message.page_size, cursor=message.page_token)


def ledger_response(page: EntryPage) -> partner_pb2.ListLedgerEntriesResponse:
    """A page of entries."""
    return partner_pb2.ListLedgerEntriesResponse(
        available=types_pb2.Money(amount=page.available, currency=page.currency),
        entries=[entry for entry in page.entries if isinstance(entry, types_pb2.LedgerEntry)],
        next_page_token=page.next_cursor,
    )
