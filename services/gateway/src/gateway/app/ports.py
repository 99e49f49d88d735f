"""What the partner operations need from other services. Every method raises the owner's own DomainError."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.app.recent_quotes import ExpectedHold
from gateway.domain.entitlement import Entitlement
from gateway.domain.quote_terms import QuoteTerms
from gateway.domain.records import CataloguedPool, EntryRecord, PoolRecord, QuoteRecord, TradeRecord
from poolkit.context import CallContext


class Quotes(Protocol):
    """The quote service."""

    async def list_pools(self, context: CallContext) -> Sequence[CataloguedPool]:
        """Every pool of the deployment, as they are now."""

    async def recent_pools(self, context: CallContext) -> Sequence[CataloguedPool]:
        """Every pool of the deployment, as they were a moment ago: enough for what partners are shown."""

    def create(self, context: CallContext, pool_id: str, terms: QuoteTerms, *, tier: str) -> Awaitable[QuoteRecord]:
        """Prices an amount."""

    def get(self, context: CallContext, quote_id: str) -> Awaitable[QuoteRecord]:
        """Reads a quote."""

    def reject(self, context: CallContext, quote_id: str) -> Awaitable[QuoteRecord]:
        """Gives a quote back."""


@dataclass(frozen=True, slots=True)
class PoolPage:
    """A page of pools, by id."""

    pools: Sequence[PoolRecord]
    next_cursor: str
    """Empty on the last page."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A quote to accept, with the limits its organization was admitted under."""

    context: CallContext
    idempotency_key: str
    pool_id: str
    quote_id: str
    entitlement: Entitlement
    expected_hold: ExpectedHold | None
    """None where it is not known."""


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """Which of an organization's trades to list; None means all."""

    side: Literal["on_ramp", "off_ramp"] | None
    status: str | None
    created_after: datetime | None
    """At or after."""
    created_before: datetime | None


@dataclass(frozen=True, slots=True)
class TradePage:
    """A page of trades, newest first."""

    trades: Sequence[TradeRecord]
    next_cursor: str
    """Empty on the last page."""


class Trades(Protocol):
    """The trade service."""

    def transact(self, acceptance: Acceptance) -> Awaitable[tuple[TradeRecord, bool]]:
        """Accepts a quote: the trade as first answered, and whether an earlier request reserved it."""

    def get_by_quote(self, context: CallContext, quote_id: str) -> Awaitable[TradeRecord]:
        """Reads a trade by its quote."""

    def get(self, context: CallContext, trade_id: str) -> Awaitable[TradeRecord]:
        """Reads a trade by its own id."""

    async def list_page(self, context: CallContext, matching: TradeFilter, *, limit: int, cursor: str) -> TradePage:
        """Reads a page of trades."""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of ledger entries, newest first, with the balance now."""

    currency: str
    available: str
    """Posted less holds; a decimal string."""
    entries: Sequence[EntryRecord]
    next_cursor: str
    """Empty on the last page."""


class Settlements(Protocol):
    """Whoever can ask the settlement provider."""

    async def has_news(self, context: CallContext, trade_id: str) -> bool:
        """Has the provider asked about a trade, once; whether the trade is worth reading again. Never raises."""


class Ledger(Protocol):
    """The ledger service."""

    async def list_entries(self, context: CallContext, currency: str, *, limit: int, cursor: str) -> EntryPage:
        """Reads entries."""

    async def available(self, context: CallContext, currency: str) -> str:
        """Posted less holds; a decimal string."""

    async def ensure_funding_references(self, context: CallContext, currencies: Sequence[str]) -> dict[str, str]:
        """Makes, or finds, the organization's funding reference in each currency."""
