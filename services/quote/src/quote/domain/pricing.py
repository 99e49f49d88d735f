"""The price of an order, in both directions and from either currency; every rounding is once and in the pool's favour.

With f = feeBps / 10⁴, k = 1 − spreadBps / 10⁴, ceil₂ and floor₂ to the fiat's minor digits, floor₆ and ceil₆ to the
crypto's (Source: contract section 5):

    on-ramp    fee = ceil₂(fiat × f)               crypto = floor₆((fiat − fee) × rate × k)
    off-ramp   gross = floor₂(crypto / rate × k)   fee = ceil₂(gross × f)   fiat = gross − fee

The other way round, the smallest amount that reaches what was asked, in closed form. Counted in minor units,
x − ceil(x × f) = floor(x × (1 − f)), so that reaches n exactly when x ≥ n / (1 − f); likewise floor(y) reaches a whole
number of units exactly when y does:

    on-ramp    fiat = ceil₂(ceil₂(crypto / (rate × k)) / (1 − f)), and exactly the asked crypto is delivered
    off-ramp   gross = ceil₂(fiat / (1 − f))   crypto = ceil₆(gross × rate / k), and exactly the asked fiat is paid
"""

from dataclasses import dataclass
from decimal import Decimal

from poolkit.errors import InvalidRequest
from poolkit.money import DIGITS, EXACT, ceil_to, floor_to, product, quotient_ceil, quotient_floor
from quote.domain.pools import BPS, Pool, Side, Tier

_ONE = Decimal(1)
_BPS_DIGITS = -4


@dataclass(frozen=True, slots=True)
class Price:
    """Both amounts of an order and the fee within the fiat one."""

    fiat: Decimal
    """What the partner pays (on-ramp) or receives (off-ramp)."""
    crypto: Decimal
    """What the partner receives (on-ramp) or pays (off-ramp)."""
    fee: Decimal
    """In fiat."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a price is made of: the pool's rate (units of crypto for one of fiat) and the tier's shares."""

    rate: Decimal
    fee_share: Decimal
    """f"""
    kept_share: Decimal
    """k: what the spread leaves."""
    fiat_digits: int
    crypto_digits: int

    @classmethod
    def of(cls, pool: Pool, tier: Tier, rate: Decimal) -> "Terms":
        """The terms of one tier in one pool at one rate."""
        return cls(
            rate,
            Decimal(tier.fee_bps).scaleb(_BPS_DIGITS),
            Decimal(BPS - tier.spread_bps).scaleb(_BPS_DIGITS),
            DIGITS[pool.fiat_currency],
            DIGITS[pool.crypto_currency],
        )


def buy_for(fiat: Decimal, terms: Terms) -> Price:
    """On-ramp, fiat given: the fee is rounded up, the crypto down."""
    fee = ceil_to(product(fiat, terms.fee_share), terms.fiat_digits)
    net = EXACT.subtract(fiat, fee)
    return Price(fiat, floor_to(product(net, terms.rate, terms.kept_share), terms.crypto_digits), fee)


def buy(crypto: Decimal, terms: Terms) -> Price:
    """On-ramp, crypto given: the smallest fiat that reaches it; the crypto is delivered as asked, not a unit more."""
    net = quotient_ceil(crypto, product(terms.rate, terms.kept_share), terms.fiat_digits)
    fiat = quotient_ceil(net, EXACT.subtract(_ONE, terms.fee_share), terms.fiat_digits)
    return Price(fiat, crypto, ceil_to(product(fiat, terms.fee_share), terms.fiat_digits))


def sell(crypto: Decimal, terms: Terms) -> Price:
    """Off-ramp, crypto given: the gross is rounded down, the fee up."""
    gross = quotient_floor(product(crypto, terms.kept_share), terms.rate, terms.fiat_digits)
    fee = ceil_to(product(gross, terms.fee_share), terms.fiat_digits)
    return Price(EXACT.subtract(gross, fee), crypto, fee)


def sell_for(fiat: Decimal, terms: Terms) -> Price:
    """Off-ramp, fiat given: the smallest crypto that reaches it; the fiat is paid as asked, not a cent more.

    At rates so low that one unit of crypto is worth more than a cent, the crypto can be worth more than it takes; what
    it is worth more stays with the pool.
    """
    gross = quotient_ceil(fiat, EXACT.subtract(_ONE, terms.fee_share), terms.fiat_digits)
    crypto = quotient_ceil(product(gross, terms.rate), terms.kept_share, terms.crypto_digits)
    return Price(fiat, crypto, ceil_to(product(gross, terms.fee_share), terms.fiat_digits))


def price(side: Side, amount: Decimal, *, in_fiat: bool, terms: Terms) -> Price:
    """Prices an order. Raises InvalidRequest where rounding leaves nothing to deliver."""
    if side is Side.ON_RAMP:
        made = buy_for(amount, terms) if in_fiat else buy(amount, terms)
    else:
        made = sell_for(amount, terms) if in_fiat else sell(amount, terms)
    if made.fiat <= 0 or made.crypto <= 0:
        raise InvalidRequest("it is so small that rounding leaves nothing of it; send a larger one.", field="amount")
    return made
