"""The journeys that carry one id of a partner's own making, newest first: each with its product record.

Source: contract section 9; partners may repeat client references, keys and request ids (section 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.app.journey import answer_of
from gateway.app.product_record import NewContext, ProductRecord, RecordReader, record_of_quote, record_of_trade
from gateway.domain.records import Amount, Moment, QuoteRecord, TradeRecord
from gateway.store.journey import CallOnRecord
from poolkit.errors import DomainError

log = structlog.get_logger(__name__)


class Head(Protocol):
    """How a journey is told from others."""

    @property
    def quote_id(self) -> str:
        """The quote it begins with; sorts by when that was made."""

    @property
    def organization_id(self) -> str:
        """Whose it is."""

    @property
    def trade_id(self) -> str:
        """The trade that consumed the quote; empty where there is none, or another owner knows."""


class Lister(Protocol):
    """A service that can tell which journeys carry an id."""

    @property
    def service(self) -> str:
        """Its name."""

    async def list_journeys(self, id_: str, *, before_quote_id: str, limit: int) -> Sequence[Head]:
        """Newest first. Raises Unavailable, DeadlineExceeded."""


@dataclass(frozen=True, slots=True)
class JourneySummary:
    """One of several journeys."""

    organization_id: str
    record: ProductRecord
    create_time: Moment | None
    fiat: Amount | None
    crypto: Amount | None


@dataclass(frozen=True, slots=True)
class JourneyPage:
    """Journeys that carry an id, newest first."""

    heads: Sequence[Head]
    summaries: Sequence[JourneySummary]
    """Empty where there is one journey at most, which is told whole instead."""
    next_quote_id: str
    """Where the next page begins; empty on the last."""
    missing_services: Sequence[str]

    @property
    def is_long(self) -> bool:
        """Whether there is a choice to make."""
        return len(self.heads) > 1


async def find_page(
    listers: Sequence[Lister],
    id_: str,
    *,
    limit: int,
    before_quote_id: str,
    reader: RecordReader,
    new_context: NewContext,
    until: float,
) -> JourneyPage:
    """The journeys of quotes before the given one. An owner that does not answer is named, and the rest listed."""
    # One more than asked for tells whether there is another page; two tell whether there is a list at all.
    wanted = max(limit, 1) + 1
    answers = await asyncio.gather(
        *(_heads(lister, id_, before_quote_id, wanted, until) for lister in listers), return_exceptions=True
    )
    heads: dict[str, Head] = {}
    missing = []
    for lister, answer in zip(listers, answers, strict=True):
        if isinstance(answer, DomainError):
            log.warning("journey_lister_missing", owner=lister.service, reason=answer.code)
            missing.append(lister.service)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for head in answer:
                known = heads.get(head.quote_id)
                heads[head.quote_id] = head if known is None or not known.trade_id else known
    newest = sorted(heads.values(), key=lambda head: head.quote_id, reverse=True)
    page = newest[:limit]
    more = len(newest) > limit
    if len(newest) <= 1 and not before_quote_id:
        return JourneyPage(newest, (), "", missing)
    calls = await _calls(reader, [head.quote_id for head in page])
    summaries = await asyncio.gather(*(_summary(head, reader, calls, new_context) for head in page))
    return JourneyPage(newest, summaries, page[-1].quote_id if more else "", missing)


async def _heads(lister: Lister, id_: str, before_quote_id: str, limit: int, until: float) -> Sequence[Head]:
    return await answer_of(lambda: lister.list_journeys(id_, before_quote_id=before_quote_id, limit=limit), until=until)


async def _calls(reader: RecordReader, quote_ids: Sequence[str]) -> Mapping[tuple[str, str], CallOnRecord]:
    try:
        return await reader.quoted_and_accepted(quote_ids)
    except DomainError as error:
        log.warning("journey_list_without_keys", reason=error.code)
        return {}


async def _summary(
    head: Head, reader: RecordReader, calls: Mapping[tuple[str, str], CallOnRecord], new_context: NewContext
) -> JourneySummary:
    context = new_context(head.organization_id)
    terms: TradeRecord | QuoteRecord
    try:
        if head.trade_id:
            trade = terms = await reader.trades.get(context, head.trade_id)
            record = record_of_trade(trade, calls)
        else:
            quote = terms = await reader.quotes.get(context, head.quote_id)
            record = record_of_quote(quote, calls)
    except DomainError as error:
        log.warning("journey_summary_missing", reason=error.code)
        record = ProductRecord("", "", "", head.quote_id, head.trade_id, "", "", "")
        return JourneySummary(head.organization_id, record, None, None, None)
    return JourneySummary(head.organization_id, record, terms.create_time, terms.fiat, terms.crypto)
