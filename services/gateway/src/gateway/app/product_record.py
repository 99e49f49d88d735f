"""The record a product keeps of a journey, eight fields, told from the trade (or the quote) as its owner has it now.

Source: contract section 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.app.journey import Journey, JourneyRecord
from gateway.app.ports import Quotes, Trades
from gateway.domain.views import QUOTE_STATUSES, RECONCILIATION_STATES, TRADE_STATUSES
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


async def product_record(
    journey: Journey, *, quotes: Quotes, trades: Trades, new_context: NewContext
) -> ProductRecord | None:
    """The record of the journey's newest trade, else of its newest quote; None where it has neither, or its owner is
    out of reach."""
    try:
        if (found := _newest(journey, "trade", "transition")) is not None:
            return await _of_trade(journey, found, trades, new_context)
        if (found := _newest(journey, "quote", "quote")) is not None:
            return await _of_quote(journey, found, quotes, new_context)
    except DomainError as error:
        log.warning("product_record_missing", reason=error.code)
    return None


def _newest(journey: Journey, service: str, kind: str) -> JourneyRecord | None:
    for record in reversed(journey.records):
        if record.service == service and record.kind == kind and record.ids.get("organization"):
            return record
    return None


async def _of_trade(journey: Journey, found: JourneyRecord, trades: Trades, new_context: NewContext) -> ProductRecord:
    trade = await trades.get(new_context(found.ids["organization"]), found.ids["trade"])
    return ProductRecord(
        product_area=_key_label(journey, "transact", trade.quote_id),
        partner_reference=trade.client_reference,
        pool_id=trade.pool_id,
        quote_id=trade.quote_id,
        transact_id=trade.transact_id,
        status=TRADE_STATUSES[trade.status] or "",
        request_id=trade.request_id,
        reconciliation_state=RECONCILIATION_STATES[trade.reconciliation_state],
    )


async def _of_quote(journey: Journey, found: JourneyRecord, quotes: Quotes, new_context: NewContext) -> ProductRecord:
    quote = await quotes.get(new_context(found.ids["organization"]), found.ids["quote"])
    return ProductRecord(
        product_area=_key_label(journey, "create_quote", quote.quote_id),
        partner_reference=quote.client_reference,
        pool_id=quote.pool_id,
        quote_id=quote.quote_id,
        transact_id="",
        status=QUOTE_STATUSES[quote.status] or "",
        request_id=found.ids.get("request", ""),
        reconciliation_state=RECONCILIATION_STATES[0],
    )


def _key_label(journey: Journey, operation: str, quote_id: str) -> str:
    """The label of the key whose call did it: the first that succeeded, since repeats may come with another key."""
    for record in journey.records:
        facts = record.facts
        if (
            record.kind == "api_call"
            and facts.get("operation") == operation
            and facts.get("outcome") == "ok"
            and record.ids.get("quote") == quote_id
        ):
            return facts.get("key_label", "")
    return ""
