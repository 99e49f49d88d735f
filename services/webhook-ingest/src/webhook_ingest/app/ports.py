"""Declares what the use cases need from outside; `webhook_ingest.outbound` and `api` fulfil it.

Calls to colleagues answer item by item, in order, and may be repeated. One that raises leaves its outcome unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from poolkit.context import CallContext
from poolkit.errors import DomainError
from poolkit.outbox import OutboxEvent
from webhook_ingest.domain.allocations import Allocation
from webhook_ingest.domain.events import ProviderEvent
from webhook_ingest.store.unallocated import UnallocatedPayin
from webhook_ingest.store.webhooks import StoredWebhook


@dataclass(frozen=True, slots=True)
class Reported:
    """What a settlement report did to its trade."""

    effect: str
    """`applied`, `repeated`, `early` or `refused`."""
    organization_id: str
    request_id: str
    """The request that reserved the trade."""
    refusal: DomainError | None = None
    """Why, where refused."""


class Settlements(Protocol):
    """The trade service."""

    async def report(self, reports: Sequence[tuple[StoredWebhook, CallContext]]) -> list[Reported | DomainError]:
        """Applies reports in order; NotFound for a trade that nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What the provider said of a trade when it was asked; nothing of it has been checked."""

    trade_id: str
    """The trade it speaks of."""
    bodies: Sequence[bytes]
    """What it reports, each as it would post it; none while there is nothing to report."""


class NoAnswer(Exception):
    """The provider was out of reach, too slow, or not to be understood: nothing is known, and nothing follows."""


class Provider(Protocol):
    """The settlement provider's status API."""

    async def ask(self, trade_id: str) -> ProviderAnswer:
        """What became of a trade; a trade that it never heard of has no reports. Raises NoAnswer."""
        ...


@dataclass(frozen=True, slots=True)
class OverdueTrade:
    """A trade that is still reserved after a while."""

    trade_id: str
    organization_id: str
    request_id: str
    """The request that reserved it."""


class OverdueTrades(Protocol):
    """The trade service, as far as it knows who waits for a report."""

    async def list_page(self, *, age_seconds_min: int, token: str) -> tuple[list[OverdueTrade], str]:
        """Trades reserved for at least so long, the oldest first, and the token of the next page."""
        ...


class SuggestedReference(NamedTuple):
    """A known reference that a payer may have meant."""

    reference: str
    organization_id: str
    currency: str


class FundingReferences(Protocol):
    """The ledger."""

    async def look_up(self, references: Sequence[str]) -> list[str | DomainError]:
        """The organization of each reference; NotFound, and nothing else, means unknown."""
        ...

    async def suggest(self, texts: Sequence[str]) -> list[list[SuggestedReference]]:
        """What is known near each text, at most a hundred. Raises when the ledger is silent."""
        ...


class Events(Protocol):
    """How a pay-in is told."""

    def credited(self, webhook: StoredWebhook, organization_id: str, traceparent: str) -> OutboxEvent:
        """The event of money received for an organization. The same pay-in has the same id and bytes."""
        ...


class AllocationEvents(Protocol):
    """How an allocation is told."""

    def allocated(
        self,
        event_id: str,
        payin: UnallocatedPayin,
        allocation: Allocation,
        allocated_at: datetime,
        request_id: str,
        traceparent: str,
    ) -> OutboxEvent:
        """The event of a person's word."""
        ...


class ReadBody(Protocol):
    """How a body is read, once it is known to be the source's."""

    def __call__(self, body: bytes) -> ProviderEvent:
        """The event in it. Raises InvalidRequest, naming the field."""
        ...
