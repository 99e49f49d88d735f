"""Declares what the use cases need from outside; `webhook_ingest.outbound` and `api` fulfil it.

Calls to colleagues answer item by item, in order, and may be repeated. One that raises leaves its outcome unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from poolkit.context import CallContext
from poolkit.errors import DomainError
from poolkit.outbox import OutboxEvent
from webhook_ingest.domain.events import ProviderEvent
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


class FundingReferences(Protocol):
    """The ledger."""

    async def look_up(self, references: Sequence[str]) -> list[str | DomainError]:
        """The organization of each reference; NotFound, and nothing else, means unknown."""
        ...


class Events(Protocol):
    """How a pay-in is told."""

    def credited(self, webhook: StoredWebhook, organization_id: str, traceparent: str) -> OutboxEvent:
        """The event of money received for an organization. The same pay-in has the same id and bytes."""
        ...


class ReadBody(Protocol):
    """How a body is read, once it is known to be the source's."""

    def __call__(self, body: bytes) -> ProviderEvent:
        """The event in it. Raises InvalidRequest, naming the field."""
        ...
