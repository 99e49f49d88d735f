"""Pools as configured: currencies, directions, limits, and what each tier pays. Source: contract section 5."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from poolkit.errors import InvalidRequest
from poolkit.money import CRYPTO, FIAT, format_amount


class Side(StrEnum):
    """The direction of a quote, seen from the partner."""

    ON_RAMP = "on_ramp"
    OFF_RAMP = "off_ramp"


BPS: int = 10_000
"""Basis points in one whole."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What organizations of one tier pay in one pool."""

    name: str
    spread_bps: int
    fee_bps: int
    active_quotes_max: int
    """Over all pools: the most active firm quotes an organization may hold when it asks for another one."""

    def __post_init__(self) -> None:
        # At a whole of spread or fee nothing would be left to deliver, and the smallest-amount formulas divide by it.
        for name, bps in (("spread_bps", self.spread_bps), ("fee_bps", self.fee_bps)):
            if not 0 <= bps < BPS:
                raise ValueError(f"tier {self.name!r}: {name} is {bps}; it must be from 0 to {BPS - 1}.")
        if self.active_quotes_max < 1:
            raise ValueError(f"tier {self.name!r}: active_quotes_max must be at least 1.")


@dataclass(frozen=True, slots=True)
class Pool:
    """One pair, its limits and its quotes' life time."""

    pool_id: str
    """`EUR-USDT`, or `EUR-USDT-…` for another pool of the pair: partners and the gateway read the pair in it."""
    fiat_currency: str
    crypto_currency: str
    networks: tuple[str, ...]
    sides: tuple[Side, ...]
    order_min: Decimal
    """Smallest order, in fiat."""
    order_max: Decimal
    """Largest order, in fiat."""
    quote_ttl_ms: int
    rate_age_seconds_max: int
    """How old a rate may be that quotes are made of."""

    def __post_init__(self) -> None:
        if self.fiat_currency not in FIAT or self.crypto_currency not in CRYPTO:
            raise ValueError(f"pool {self.pool_id}: {self.fiat_currency}/{self.crypto_currency} is not fiat/crypto.")
        if self.pool_id.split("-")[:2] != [self.fiat_currency, self.crypto_currency]:
            raise ValueError(f"pool {self.pool_id}: its id begins with {self.fiat_currency}-{self.crypto_currency}.")
        if not 0 < self.order_min <= self.order_max:
            raise ValueError(f"pool {self.pool_id}: limits {self.order_min} to {self.order_max} leave no order.")
        if not self.networks or not self.sides:
            raise ValueError(f"pool {self.pool_id}: it needs at least one network and one side.")
        if self.quote_ttl_ms < 1 or self.rate_age_seconds_max < 1:
            raise ValueError(f"pool {self.pool_id}: quote_ttl_ms and rate_age_seconds_max must be at least 1.")

    def inventory_currency(self, side: Side) -> str:
        """What a quote takes out of the pool: crypto to deliver, or fiat as the limit of payouts."""
        return self.crypto_currency if side is Side.ON_RAMP else self.fiat_currency

    def check_limits(self, fiat: Decimal) -> None:
        """Limits apply to the fiat the partner pays or receives. Raises InvalidRequest."""
        if self.order_min <= fiat <= self.order_max:
            return
        low, high = (format_amount(limit, self.fiat_currency) for limit in (self.order_min, self.order_max))
        raise InvalidRequest(
            f"the order comes to {format_amount(fiat, self.fiat_currency)} {self.fiat_currency}, and this pool takes "
            f"{low} to {high}; send an amount within these limits.",
            field="amount",
        )
