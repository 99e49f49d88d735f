"""Quotes: their locked terms, their derived status, and which refusal comes first. Source: contract section 5."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from poolkit.errors import (
    DomainError,
    NotFound,
    OffRampNotEnabled,
    QuoteConsumed,
    QuoteExpired,
    QuoteRejected,
)
from quote.domain.orders import Order
from quote.domain.pools import Pool, Side, Tier
from quote.domain.pricing import Price


class Status(StrEnum):
    """Derived when asked for, never stored."""

    ACTIVE = "active"
    CONSUMED = "consumed"
    REJECTED = "rejected"
    EXPIRED = "expired"


def derive_status(*, rejected: bool, consumed: bool, expired: bool) -> Status:
    """The first that applies: rejected, consumed, expired, active."""
    if rejected:
        return Status.REJECTED
    if consumed:
        return Status.CONSUMED
    return Status.EXPIRED if expired else Status.ACTIVE


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that was given, with everything it locks."""

    quote_id: str
    """Empty for an indicative quote, which is stored nowhere."""
    organization_id: str
    pool_id: str
    side: Side
    fiat_currency: str
    fiat_amount: Decimal
    crypto_currency: str
    crypto_amount: Decimal
    rate: Decimal
    spread_bps: int
    fee_bps: int
    fee_amount: Decimal
    network: str
    destination_address: str
    client_reference: str
    status: Status
    created_at: datetime
    expires_at: datetime | None
    """None for an indicative quote."""

    @property
    def firm(self) -> bool:
        """Whether it can be accepted, or is a price only."""
        return bool(self.quote_id)


class UnavailableReason(StrEnum):
    """Why there is no price now."""

    POOL_DRY = "pool_dry"
    RATE_UNAVAILABLE = "rate_unavailable"


@dataclass(frozen=True, slots=True)
class UnavailableQuote:
    """The answer to an order that cannot be priced now: not an error, and stored nowhere."""

    order: Order
    pool: Pool
    reason: UnavailableReason
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PricedOrder:
    """A checked order with its price, on its way to become a quote."""

    order: Order
    organization_id: str
    pool: Pool
    tier: Tier
    rate: Decimal
    price: Price

    @property
    def side(self) -> Side:
        """The direction, which a checked order states."""
        assert self.order.side is not None, "the order was not checked"
        return self.order.side

    @property
    def inventory_currency(self) -> str:
        """What it takes out of the pool."""
        return self.pool.inventory_currency(self.side)

    @property
    def inventory_amount(self) -> Decimal:
        """How much it takes out of the pool: crypto to deliver, or fiat to pay out."""
        return self.price.crypto if self.side is Side.ON_RAMP else self.price.fiat

    def quote(self, quote_id: str, created_at: datetime, expires_at: datetime | None) -> Quote:
        """The quote, active from now on."""
        return Quote(
            quote_id=quote_id,
            organization_id=self.organization_id,
            pool_id=self.pool.pool_id,
            side=self.side,
            fiat_currency=self.pool.fiat_currency,
            fiat_amount=self.price.fiat,
            crypto_currency=self.pool.crypto_currency,
            crypto_amount=self.price.crypto,
            rate=self.rate,
            spread_bps=self.tier.spread_bps,
            fee_bps=self.tier.fee_bps,
            fee_amount=self.price.fee,
            network=self.order.network,
            destination_address=self.order.destination_address,
            client_reference=self.order.client_reference,
            status=Status.ACTIVE,
            created_at=created_at,
            expires_at=expires_at,
        )


_NOT_ACTIVE: dict[Status, type[DomainError]] = {
    Status.REJECTED: QuoteRejected,
    Status.CONSUMED: QuoteConsumed,
    Status.EXPIRED: QuoteExpired,
}


def refuse_rejection(quote: Quote | None, organization_id: str) -> DomainError | None:
    """Why it cannot be rejected, or None when it can: not_found, quote_rejected, quote_consumed, quote_expired."""
    if quote is None or quote.organization_id != organization_id:
        return NotFound("quote")
    refused = _NOT_ACTIVE.get(quote.status)
    return refused() if refused else None


def refuse_consumption(
    quote: Quote | None, *, organization_id: str, pool_id: str, off_ramp_enabled: bool
) -> DomainError | None:
    """Why the quote cannot be consumed, or None when it can.

    In order: not_found, whether it is absent, another organization's or another pool's, told apart by nothing; then
    quote_rejected, quote_consumed, quote_expired; then off_ramp_not_enabled. Source: architecture section 4
    (404, 409, 501).
    """
    if quote is not None and quote.pool_id != pool_id:
        quote = None
    refused = refuse_rejection(quote, organization_id)
    if refused is None and quote is not None and quote.side is Side.OFF_RAMP and not off_ramp_enabled:
        return OffRampNotEnabled()
    return refused


class Outcome(StrEnum):
    """What is stored for a trade id: its first answer, or that it was given back."""

    CONSUMED = "consumed"
    REFUSED = "refused"
    GIVEN_BACK = "given_back"
