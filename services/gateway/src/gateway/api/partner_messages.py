"""Translations between the messages of PartnerService and what the use cases take and answer."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.app.ports import EntryPage
from gateway.domain.records import PoolRecord, QuoteRecord
from gateway.domain.views import SIDES
from pools.gateway.v1 import partner_pb2
from pools.types.v1 import types_pb2

_TYPES = (None, "firm", "indicative")


def _given(**fields: object) -> dict[str, object]:
    """The fields that were set: an empty one of a message is absent from the request."""
    return {name: value for name, value in fields.items() if value}


def no_fields(_message: object) -> tuple[str, dict[str, object]]:
    """A request that takes nothing: the answer has one page, whatever page size is asked for."""
    return "", {}


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


def pools_response(pools: Sequence[PoolRecord]) -> partner_pb2.ListPoolsResponse:
    """The entitled pools; of each no more than a partner may see."""
    return partner_pb2.ListPoolsResponse(
        pools=[
            partner_pb2.PartnerPool(
                pool_id=pool.pool_id,
                pair=f"{pool.fiat_currency}/{pool.crypto_currency}",
                fiat_currency=pool.fiat_currency,
                crypto_currency=pool.crypto_currency,
                available=pool.available,
            )
            for pool in pools
        ]
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
