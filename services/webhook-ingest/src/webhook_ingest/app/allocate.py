"""Owns pay-ins that wait for a person: listing them with candidates, and taking the person's word, once."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from poolkit.context import current_request_id
from poolkit.database import Database
from poolkit.errors import DomainError, InvalidRequest, NotFound, PayinAllocated
from poolkit.ids import event_id
from poolkit.outbox import append
from poolkit.telemetry.tracing import current_traceparent
from webhook_ingest.app.ports import AllocationEvents, FundingReferences, SuggestedReference
from webhook_ingest.domain.allocations import Allocation
from webhook_ingest.domain.processing import UNALLOCATED, is_silence
from webhook_ingest.store import unallocated
from webhook_ingest.store.unallocated import EarlierPayin, UnallocatedPayin

ALLOCATED: Final = "payin.allocated"
SAME_AMOUNT_MAX: Final = 50
CANDIDATES_MAX: Final = 5


class Allocated(NamedTuple):
    """An allocation in force."""

    event_id: str
    payin_event_id: str
    currency: str
    amount: Decimal
    allocated_at: datetime
    repeated: bool


class Waiting(NamedTuple):
    """A pay-in with those it may be meant for."""

    payin: UnallocatedPayin
    by_reference: Sequence[SuggestedReference]
    by_amount: Sequence[EarlierPayin]


class Page(NamedTuple):
    """Pay-ins that wait."""

    waiting: list[Waiting]
    references_asked: bool
    """Whether the ledger could be asked."""


class AllocatePayins:
    """Fulfils what people want of unallocated pay-ins."""

    def __init__(self, database: Database, references: FundingReferences, events: AllocationEvents) -> None:
        self._database = database
        self._references = references
        self._events = events

    async def allocate(self, allocation: Allocation) -> Allocated:
        """Takes effect once. Raises NotFound, InvalidRequest, PayinAllocated.

        The row's lock lets two people at once come one after the other, and the event's id is the pay-in's own: there
        is one allocation, whatever happens. Source: contract section 7.
        """
        request_id, traceparent = current_request_id.get(), current_traceparent()
        async with self._database.transaction() as unit:
            found = await unallocated.find_events(unit, allocation.payin_id)
            if len(found) > 1:
                raise InvalidRequest(
                    "several sources told of a pay-in with this id; name its event or webhook.", field="payin_id"
                )
            payin = await unallocated.lock(unit, found[0]) if found else None
            if payin is None:
                owner = await unallocated.credited_to(unit, found[0]) if found else ""
                if owner:
                    raise PayinAllocated("Its reference was known when it came.")
                raise NotFound("pay-in", detail="No processed pay-in has this id.")
            if payin.allocated_at is not None:
                if payin.organization_id != allocation.organization_id:
                    raise PayinAllocated
                return _allocated(payin, payin.allocation_event_id, payin.allocated_at, repeated=True)
            told = event_id(payin.payin_event_id, ALLOCATED)
            now = await unallocated.allocate(unit, payin.payin_event_id, allocation, told, request_id, traceparent)
            event = self._events.allocated(told, payin, allocation, now, request_id, traceparent)
            await append(unit, [event])
            await unit.commit()
        return _allocated(payin, told, now, repeated=False)

    async def list_waiting(self, *, after: str, limit: int) -> Page:
        """The longest waiting first; candidates by amount are from our own rows, those by reference from the ledger."""
        payins = await unallocated.list_open(self._database, after=after, limit=limit)
        if not payins:
            return Page([], references_asked=True)
        earlier = await unallocated.same_amount(
            self._database, [payin.webhook_id for payin in payins], nobody=UNALLOCATED, limit=SAME_AMOUNT_MAX
        )
        suggested: Sequence[Sequence[SuggestedReference]] = [()] * len(payins)
        asked = True
        try:
            suggested = await self._references.suggest([payin.funding_reference for payin in payins])
        except DomainError as error:
            if not is_silence(error):
                raise
            asked = False
        waiting = [
            Waiting(
                payin,
                [each for each in near if each.currency == payin.currency][:CANDIDATES_MAX],
                earlier.get(payin.webhook_id, [])[:CANDIDATES_MAX],
            )
            for payin, near in zip(payins, suggested, strict=True)
        ]
        return Page(waiting, asked)


def _allocated(payin: UnallocatedPayin, told: str, allocated_at: datetime, *, repeated: bool) -> Allocated:
    return Allocated(told, payin.payin_event_id, payin.currency, payin.amount, allocated_at, repeated)
