"""Support search: one id in, its whole journey or the list of those it is of out, and every access on record.

Source: contract section 9.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.app.awaited import AwaitedLine, awaited_lines
from gateway.app.journey import Journey, Owner, find_journey
from gateway.app.journey_list import JourneyPage, Lister, find_page
from gateway.app.product_record import ProductRecord, RecordReader, product_record
from gateway.domain.journey_ids import Why, fault_of, is_minted, is_secret, masked
from gateway.store.support_accesses import Access
from poolkit.context import CallContext, current_request_id
from poolkit.errors import DomainError, InvalidRequest, NotFound
from poolkit.rpc.deadlines import shortened
from poolkit.telemetry.tracing import current_traceparent

log = structlog.get_logger(__name__)

SEARCH_SECONDS_MAX: Final = 4.0
"""For all questions together; within the deadline that the RPC's policy gives a caller."""


@dataclass(frozen=True, slots=True)
class Question:
    """An id, and who wants to know."""

    id: str
    caller: str
    asked_by: str
    page_size: int
    before_quote_id: str
    """Where a page of the list ended; empty for the newest."""


@dataclass(frozen=True, slots=True)
class ToldJourney:
    """The whole of one journey."""

    journey: Journey
    record: ProductRecord | None
    awaited: Sequence[AwaitedLine]


class SupportSearch:
    """Finds, and writes down who looked."""

    def __init__(
        self,
        owners: Sequence[Owner],
        listers: Sequence[Lister],
        reader: RecordReader,
        write_access: Callable[[Access], Awaitable[None]],
        *,
        mode: str,
    ) -> None:
        self._owners = owners
        self._listers = listers
        self._reader = reader
        self._write_access = write_access
        self._mode = mode

    async def __call__(self, question: Question) -> ToldJourney | JourneyPage:
        """The journey of an id, or the page of journeys that carry it.

        Raises NotFound or InvalidRequest when every owner answered and none knows it, Unavailable when the access could
        not be written down: what is not on record is not told.
        """
        if is_secret(question.id):
            await self._keep(question, Why.SECRET, ())
            raise InvalidRequest(
                "that is a key or a secret, which names no journey. It was not searched for; who pasted it here should "
                "treat it as leaked and rotate it.",
                field="id",
                why=Why.SECRET,
            )
        until = time.time() + shortened(SEARCH_SECONDS_MAX)
        page = await self._page(question, until)
        if page is not None and (page.is_long or question.before_quote_id):
            await self._keep(question, "listed", page.missing_services)
            return page
        heads, missing = (page.heads, page.missing_services) if page else ((), ())
        journey = await find_journey(
            self._owners, [question.id, *(head.quote_id for head in heads)], until=until, missing_services=missing
        )
        if not journey.records:
            await self._refuse(question, journey)
        record = await product_record(journey, self._reader, self._context_maker(until))
        await self._keep(question, "found" if journey.records else "nobody_answered", journey.missing_services)
        return ToldJourney(journey, record, awaited_lines(journey))

    async def _page(self, question: Question, until: float) -> JourneyPage | None:
        """The journeys that carry the id; None for an id that a service minted, which is of one alone."""
        if is_minted(question.id) and not question.before_quote_id:
            return None
        return await find_page(
            self._listers,
            question.id,
            limit=question.page_size,
            before_quote_id=question.before_quote_id,
            reader=self._reader,
            new_context=self._context_maker(until),
            until=until,
        )

    async def _refuse(self, question: Question, journey: Journey) -> None:
        """Says why nothing was found, unless an owner that did not answer may know."""
        if journey.missing_services:
            return
        fault = fault_of(question.id, mode=self._mode, now_ms=int(time.time() * 1000))
        await self._keep(question, fault.why if fault else "not_found", ())
        if fault is None:
            raise _unknown(question.id)
        raise InvalidRequest(fault.sentence, field="id", why=fault.why)

    async def _keep(self, question: Question, outcome: str, missing_services: Sequence[str]) -> None:
        searched_id = masked(question.id) if outcome == Why.SECRET else question.id
        log.info(
            "journey_asked",
            id=searched_id,
            caller=question.caller,
            asked_by=question.asked_by,
            outcome=str(outcome),
            missing_services=list(missing_services),
        )
        await self._write_access(
            Access(
                caller=question.caller,
                asked_by=question.asked_by,
                searched_id=searched_id,
                outcome=str(outcome),
                missing_services=missing_services,
                request_id=current_request_id.get(),
                traceparent=current_traceparent(),
            )
        )

    def _context_maker(self, until: float) -> Callable[[str], CallContext]:
        def new_context(organization_id: str) -> CallContext:
            return CallContext(current_request_id.get(), organization_id, self._mode, current_traceparent(), until)

        return new_context


def _unknown(id_: str) -> DomainError:
    error = NotFound("journey")
    error.describe(
        f"no journey carries `{id_}`: every service was asked, and none has a row of it. Check that it was copied "
        "whole and belongs to this deployment; calls are on record a moment after their answer.",
        {},
        None,
    )
    return error
