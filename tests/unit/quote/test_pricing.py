"""Prices: exactly the contract's formulas, rounded once, and never a unit more than they allow.

The formulas are written here a second time, in fractions, as the contract has them.
"""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from poolkit.errors import InvalidRequest
from quote.domain.pools import Pool, Side, Tier
from quote.domain.pricing import Price, Terms, buy, buy_for, price, sell, sell_for

POOL = Pool(
    pool_id="EUR-USDT",
    fiat_currency="EUR",
    crypto_currency="USDT",
    networks=("tron",),
    sides=(Side.ON_RAMP, Side.OFF_RAMP),
    order_min=Decimal(1),
    order_max=Decimal(50000),
    quote_ttl_ms=15_000,
    rate_age_seconds_max=60,
)
CENT = Decimal("0.01")
UNIT = Decimal("0.000001")


def terms_of(rate: str | Decimal, spread_bps: int = 35, fee_bps: int = 20) -> Terms:
    return Terms.of(POOL, Tier("standard", spread_bps, fee_bps, 100), Decimal(rate))


cents = st.integers(1, 10**9).map(lambda n: Decimal(n).scaleb(-2))
units = st.integers(1, 10**13).map(lambda n: Decimal(n).scaleb(-6))
rates = st.integers(1, 10**12).map(lambda n: Decimal(n).scaleb(-6))
usual_rates = st.integers(500_000, 2_000_000).map(lambda n: Decimal(n).scaleb(-6))
bps = st.integers(0, 9_999)
terms = st.builds(terms_of, rates, bps, bps)
usual_terms = st.builds(terms_of, usual_rates, st.integers(0, 500), st.integers(0, 500))


def floored(value: Fraction, digits: int) -> Fraction:
    return Fraction(math.floor(value * 10**digits), 10**digits)


def ceiled(value: Fraction, digits: int) -> Fraction:
    return Fraction(math.ceil(value * 10**digits), 10**digits)


def crypto_for(fiat: Fraction, t: Terms) -> Fraction:
    """The contract's on-ramp formula."""
    fee = ceiled(fiat * Fraction(t.fee_share), 2)
    return floored((fiat - fee) * Fraction(t.rate) * Fraction(t.kept_share), 6)


def fiat_for(crypto: Fraction, t: Terms) -> Fraction:
    """The contract's off-ramp formula."""
    gross = floored(crypto / Fraction(t.rate) * Fraction(t.kept_share), 2)
    return gross - ceiled(gross * Fraction(t.fee_share), 2)


@pytest.mark.parametrize(
    ("side", "amount", "in_fiat", "expected"),
    [
        (Side.ON_RAMP, "100.00", True, Price(Decimal("100.00"), Decimal("107.904009"), Decimal("0.20"))),
        (Side.ON_RAMP, "107.904009", False, Price(Decimal("100.00"), Decimal("107.904009"), Decimal("0.20"))),
        # One cent more would go into the fee, which is rounded up.
        (Side.ON_RAMP, "107.904010", False, Price(Decimal("100.02"), Decimal("107.904010"), Decimal("0.21"))),
        (Side.ON_RAMP, "1.00", True, Price(Decimal("1.00"), Decimal("1.070390"), Decimal("0.01"))),
        (Side.OFF_RAMP, "100", False, Price(Decimal("91.65"), Decimal(100), Decimal("0.19"))),
        (Side.OFF_RAMP, "91.65", True, Price(Decimal("91.65"), Decimal("99.996388"), Decimal("0.19"))),
    ],
)
def test_price_is_the_contract_s_example(side: Side, amount: str, in_fiat: bool, expected: Price) -> None:
    assert price(side, Decimal(amount), in_fiat=in_fiat, terms=terms_of("1.085000")) == expected


@given(cents, terms)
def test_buying_for_fiat_is_the_formula_to_the_unit(fiat: Decimal, t: Terms) -> None:
    made = buy_for(fiat, t)
    assert Fraction(made.crypto) == crypto_for(Fraction(fiat), t)
    assert Fraction(made.fee) == ceiled(Fraction(fiat) * Fraction(t.fee_share), 2)
    assert made.fiat == fiat


@given(units, terms)
def test_selling_crypto_is_the_formula_to_the_cent(crypto: Decimal, t: Terms) -> None:
    made = sell(crypto, t)
    assert Fraction(made.fiat) == fiat_for(Fraction(crypto), t)
    assert made.crypto == crypto


@given(units, terms)
def test_buying_crypto_delivers_exactly_what_was_asked_for_the_smallest_fiat_that_reaches_it(
    crypto: Decimal, t: Terms
) -> None:
    made = buy(crypto, t)
    assert made.crypto == crypto
    assert crypto_for(Fraction(made.fiat), t) >= Fraction(crypto)
    assert crypto_for(Fraction(made.fiat - CENT), t) < Fraction(crypto)
    assert Fraction(made.fee) == ceiled(Fraction(made.fiat) * Fraction(t.fee_share), 2)


@given(cents, terms)
def test_selling_for_fiat_pays_exactly_what_was_asked_for_the_smallest_crypto_that_reaches_it(
    fiat: Decimal, t: Terms
) -> None:
    made = sell_for(fiat, t)
    assert made.fiat == fiat
    assert fiat_for(Fraction(made.crypto), t) >= Fraction(fiat)
    assert fiat_for(Fraction(made.crypto - UNIT), t) < Fraction(fiat)


@given(st.integers(1, 2_000), usual_terms)
def test_smallest_fiat_is_the_one_that_trying_every_cent_finds(crypto_cents: int, t: Terms) -> None:
    crypto = Fraction(crypto_cents, 100)
    made = buy(Decimal(crypto_cents).scaleb(-2), t)
    tried = next(n for n in range(1, 10_000) if crypto_for(Fraction(n, 100), t) >= crypto)
    assert Fraction(made.fiat) == Fraction(tried, 100)


@given(cents, usual_terms)
def test_nobody_gains_by_selling_back_what_was_bought(fiat: Decimal, t: Terms) -> None:
    bought = buy_for(fiat, t).crypto
    assume(bought > 0)
    assert sell(bought, t).fiat <= fiat


@given(cents, cents, terms)
def test_more_fiat_never_buys_less(one: Decimal, other: Decimal, t: Terms) -> None:
    less, more = sorted((one, other))
    assert buy_for(less, t).crypto <= buy_for(more, t).crypto
    assert sell_for(less, t).crypto <= sell_for(more, t).crypto


@given(units, units, terms)
def test_more_crypto_never_sells_for_less(one: Decimal, other: Decimal, t: Terms) -> None:
    less, more = sorted((one, other))
    assert sell(less, t).fiat <= sell(more, t).fiat
    assert buy(less, t).fiat <= buy(more, t).fiat


@given(cents, usual_rates, bps, bps, bps, bps)
def test_a_dearer_tier_never_gets_more(
    fiat: Decimal, rate: Decimal, spread: int, other_spread: int, fee: int, other_fee: int
) -> None:
    cheap = terms_of(rate, min(spread, other_spread), min(fee, other_fee))
    dear = terms_of(rate, max(spread, other_spread), max(fee, other_fee))
    assert buy_for(fiat, dear).crypto <= buy_for(fiat, cheap).crypto
    assert sell_for(fiat, dear).crypto >= sell_for(fiat, cheap).crypto


@given(cents, cents, terms)
def test_splitting_an_order_never_gets_more(one: Decimal, other: Decimal, t: Terms) -> None:
    assert buy_for(one, t).crypto + buy_for(other, t).crypto <= buy_for(one + other, t).crypto + UNIT
    assert buy_for(one, t).fee + buy_for(other, t).fee >= buy_for(one + other, t).fee


@given(terms, st.integers(1, 10**24).map(lambda n: Decimal(n).scaleb(-6)))
def test_no_amount_is_too_large_to_be_exact(t: Terms, amount: Decimal) -> None:
    buy(amount, t)
    sell(amount, t)


@pytest.mark.parametrize(
    ("side", "amount", "in_fiat", "rate"),
    [
        (Side.ON_RAMP, "0.01", True, "1.085000"),  # the fee takes all of it
        (Side.ON_RAMP, "1.00", True, "0.000001"),
        (Side.OFF_RAMP, "0.000001", False, "1.085000"),
    ],
)
def test_order_of_which_rounding_leaves_nothing_is_refused(side: Side, amount: str, in_fiat: bool, rate: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        price(side, Decimal(amount), in_fiat=in_fiat, terms=terms_of(rate))
    assert refused.value.field == "amount"


@pytest.mark.parametrize("bps", [-1, 10_000, 10_001])
def test_tier_that_would_leave_nothing_cannot_be_configured(bps: int) -> None:
    with pytest.raises(ValueError, match="spread_bps"):
        Tier("standard", bps, 20, 100)
    with pytest.raises(ValueError, match="fee_bps"):
        Tier("standard", 35, bps, 100)
