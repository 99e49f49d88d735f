"""The record a product keeps of a journey, eight fields, told from the trade (or the quote) as its owner has it now.

Source: contract section 9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from gateway.app.journey import Journey, JourneyRecord
from gateway.app.ports import Quotes, Trades
from gateway.domain.records import QuoteRecord, TradeRecord
from gateway.domain.views import QUOTE_STATUSES, RECONCILIATION_STATES, TRADE_STATUSES
from gateway.store.journey import CallOnRecord
from poolkit.context import CallContext
from poolkit.errors import DomainError

log = structlog.get_logger(__name__)

NewContext = Callable[[str], CallContext]
"""A context for an organization, under the request that is being served."""


@dataclass(frozen=True, slots=True)
class ProductRecord:
    """Exactly these fields."""

    product_area: str
    partner_reference: str
    pool_id: str
    quote_id: str
    transact_id: str
    status: str
    request_id: str
    reconciliation_state: str


@dataclass(frozen=True, slots=True)
class RecordReader:
    """The owners that a record is told from."""

    quotes: Quotes
    trades: Trades
    quoted_and_accepted: Callable[[Sequence[str]], Awaitable[Mapping[tuple[str, str], CallOnRecord]]]
    """By operation (`create_quote`, `transact`) and quote id, the first call that succeeded. Raises Unavailable."""


_NO_CALL = CallOnRecord("", "")


async def product_record(journey: Journey, reader: RecordReader, new_context: NewContext) -> ProductRecord | None:
    """The record of the journey's newest trade, else of its newest quote; None where it has neither, or its owner is
    out of reach."""
    trade, quote = _newest(journey, "trade", "transition"), _newest(journey, "quote", "quote")
    found = trade or quote
    if found is None:
        return None
    quote_id, context = found.ids["quote"], new_context(found.ids["organization"])
    asking = reader.quoted_and_accepted([quote_id])
    try:
        if trade is not None:
            calls, told = await asyncio.gather(asking, reader.trades.get(context, trade.ids["trade"]))
            return record_of_trade(told, calls)
        calls, offered = await asyncio.gather(asking, reader.quotes.get(context, quote_id))
        return record_of_quote(offered, calls, found.ids.get("request", ""))
    except DomainError as error:
        log.warning("product_record_missing", reason=error.code)
    return None


def record_of_trade(trade: TradeRecord, calls: Mapping[tuple[str, str], CallOnRecord]) -> ProductRecord:
    """As the trade stands now."""
    return ProductRecord(
        product_area=calls.get(("transact", trade.quote_id), _NO_CALL).key_label,
        partner_reference=trade.client_reference,
        pool_id=trade.pool_id,
        quote_id=trade.quote_id,
        transact_id=trade.transact_id,
        status=TRADE_STATUSES[trade.status] or "",
        request_id=trade.request_id,
        reconciliation_state=RECONCILIATION_STATES[trade.reconciliation_state],
    )


def record_of_quote(
    quote: QuoteRecord, calls: Mapping[tuple[str, str], CallOnRecord], request_id: str = ""
) -> ProductRecord:
    """As the quote stands now, which no trade has consumed."""
    made = calls.get(("create_quote", quote.quote_id), _NO_CALL)
    return ProductRecord(
        product_area=made.key_label,
        partner_reference=quote.client_reference,
        pool_id=quote.pool_id,
        quote_id=quote.quote_id,
        transact_id="",
        status=QUOTE_STATUSES[quote.status] or "",
        request_id=request_id or made.request_id,
        reconciliation_state=RECONCILIATION_STATES[0],
    )


def _newest(journey: Journey, service: str, kind: str) -> JourneyRecord | None:
    for record in reversed(journey.records):
        if record.service == service and record.kind == kind and record.ids.get("organization"):
            return record
    return None
