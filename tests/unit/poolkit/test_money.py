"""Money stays exact: what goes in as a decimal string comes out as the same one, or is refused."""

import decimal
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from poolkit import money
from poolkit.errors import InvalidRequest
from poolkit.money import Money

CONTRACT_PATTERN = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]+)?")
currencies = st.sampled_from(sorted(money.DIGITS))
signed = st.integers(-(10**28), 10**28).flatmap(
    lambda unscaled: st.integers(0, 12).map(lambda scale: Decimal(unscaled).scaleb(-scale, money.EXACT))
)


def in_units(value: Decimal, digits: int) -> Fraction:
    """The value counted in units of its last digit."""
    return Fraction(value) * Fraction(10**digits)


def test_every_currency_is_either_fiat_or_crypto() -> None:
    assert set(money.DIGITS) == money.FIAT | money.CRYPTO
    assert not money.FIAT & money.CRYPTO


@given(currencies, st.integers(1, 10**18 - 1), st.data())
def test_amount_with_every_minor_digit_reads_and_writes_itself(currency: str, whole: int, data: st.DataObject) -> None:
    digits = money.DIGITS[currency]
    text = f"{whole}.{data.draw(st.integers(0, 10**digits - 1)):0{digits}d}"
    assert money.format_amount(money.parse_amount(text, currency), currency) == text


@given(currencies, st.text(alphabet="0123456789.-+eE_ ,\n٣", max_size=24))
def test_amount_is_read_exactly_where_the_contract_allows_it(currency: str, text: str) -> None:
    match = CONTRACT_PATTERN.fullmatch(text)
    allowed = match is not None and len(match[2] or ".") - 1 <= money.DIGITS[currency] and Fraction(text) > 0
    try:
        amount = money.parse_amount(text, currency)
    except InvalidRequest:
        assert not allowed
    else:
        assert allowed
        assert Fraction(amount) == Fraction(text)


@pytest.mark.parametrize(
    ("text", "currency", "why"),
    [
        ("1.005", "EUR", "3 decimal digits"),
        ("1.000", "EUR", "3 decimal digits"),
        ("1.0000001", "USDT", "7 decimal digits"),
        ("0", "EUR", "greater than zero"),
        ("0.00", "EUR", "greater than zero"),
        ("-1.00", "EUR", "not a decimal number"),
        ("01.00", "EUR", "not a decimal number"),
        ("1.", "EUR", "not a decimal number"),
        (".5", "EUR", "not a decimal number"),
        ("1e2", "EUR", "not a decimal number"),
        ("NaN", "EUR", "not a decimal number"),
        ("Infinity", "EUR", "not a decimal number"),
        ("1.00\n", "EUR", "not a decimal number"),
        ("١.00", "EUR", "not a decimal number"),
        ("1,000.00", "EUR", "not a decimal number"),
        ("1234567890123456789", "EUR", "at most 18"),
        ("", "EUR", "not a decimal number"),
        ("1.00", "eur", "not one of"),
        ("1.00", "XAU", "not one of"),
    ],
)
def test_amount_that_does_not_fit_is_refused_by_field_and_cause(text: str, currency: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        money.parse_amount(text, currency, field="fiatAmount")
    assert refused.value.field == "fiatAmount"
    assert refused.value.message.startswith("fiatAmount: ")


def test_a_float_is_no_amount() -> None:
    with pytest.raises(TypeError):
        money.parse_amount(1.5, "EUR")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Money(1.5, "EUR")  # type: ignore[arg-type]


@given(signed)
def test_signed_decimal_reads_what_a_colleague_wrote(value: Decimal) -> None:
    text = format(value, "f")
    # A zero in an odd notation ("-0.0") may be written too; value counts, not form.
    assert money.parse_decimal(text) == value


@pytest.mark.parametrize("text", ["", "+1", "1e5", "NaN", "--1", "1.", "0x10", "1" * 31, "1\n", " 1"])
def test_signed_decimal_that_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        money.parse_decimal(text)


@given(currencies, signed)
def test_writing_an_amount_never_rounds(currency: str, value: Decimal) -> None:
    digits = money.DIGITS[currency]
    if in_units(value, digits).denominator == 1:
        text = money.format_amount(value, currency)
        assert Fraction(text) == Fraction(value)
        assert re.fullmatch(rf"-?[0-9]+\.[0-9]{{{digits}}}", text)
    else:
        with pytest.raises(ValueError, match="round it first"):
            money.format_amount(value, currency)


def test_writing_knows_its_currencies_and_no_negative_zero() -> None:
    assert money.format_amount(Decimal("-0.000"), "EUR") == "0.00"
    assert money.format_decimal(Decimal("-0"), 6) == "0.000000"
    with pytest.raises(ValueError, match="'XAU' is not a currency"):
        money.format_amount(Decimal(1), "XAU")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_written(value: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        money.format_amount(Decimal(value), "EUR")
    with pytest.raises(ValueError, match="does not fit"):
        money.format_decimal(Decimal(value), 6)
    with pytest.raises(ValueError, match="not an amount"):
        Money(Decimal(value), "EUR")


@given(signed, st.integers(0, 15))
def test_decimal_with_given_digits_is_written_exactly_or_refused(value: Decimal, digits: int) -> None:
    if in_units(value, digits).denominator == 1:
        assert Fraction(money.format_decimal(value, digits)) == Fraction(value)
    else:
        with pytest.raises(ValueError, match="round it first"):
            money.format_decimal(value, digits)


@given(signed, st.integers(0, 12))
def test_floor_and_ceil_bound_the_value_within_one_unit(value: Decimal, digits: int) -> None:
    low, high = money.floor_to(value, digits), money.ceil_to(value, digits)
    exact = in_units(value, digits)
    assert in_units(low, digits) == exact.__floor__()
    assert in_units(high, digits) == exact.__ceil__()


@given(signed, signed, st.integers(0, 8))
def test_quotient_is_rounded_once_from_the_exact_one(numerator: Decimal, denominator: Decimal, digits: int) -> None:
    assume(denominator != 0)
    exact = Fraction(numerator) / Fraction(denominator) * 10**digits
    low = money.quotient_floor(numerator, denominator, digits)
    high = money.quotient_ceil(numerator, denominator, digits)
    assert in_units(low, digits) == exact.__floor__()
    assert in_units(high, digits) == exact.__ceil__()


@given(st.lists(signed, max_size=20))
def test_total_and_product_are_exact(values: list[Decimal]) -> None:
    assert Fraction(money.total(values)) == sum(map(Fraction, values))
    if len(values) >= 2:
        assert Fraction(money.product(values[0], values[1])) == Fraction(values[0]) * Fraction(values[1])


def test_what_outgrows_sixty_digits_is_refused_not_rounded() -> None:
    large = Decimal("1." + "0" * 34 + "1")
    with pytest.raises(decimal.Inexact):
        money.product(large, large)
    with pytest.raises(decimal.Inexact):
        money.total([Decimal("1e59"), Decimal("0.001")])


@given(currencies, st.integers(-(10**20), 10**20), st.integers(-(10**20), 10**20))
def test_money_of_one_currency_adds_up(currency: str, left: int, right: int) -> None:
    digits = money.DIGITS[currency]
    one = Money(Decimal(left).scaleb(-digits, money.EXACT), currency)
    other = Money(Decimal(right).scaleb(-digits, money.EXACT), currency)
    assert (one + other) - other == one
    assert one + -one == Money(Decimal(0), currency)
    assert (one - other).text == (-(other - one)).text


def test_money_says_what_it_is_and_refuses_another_currency() -> None:
    assert str(Money.parse("100.5", "EUR")) == "100.50 EUR"
    assert str(-Money(Decimal("0.00"), "EUR")) == "0.00 EUR"
    with pytest.raises(ValueError, match="EUR and USDT cannot be added"):
        Money.parse("1.00", "EUR") + Money.parse("1.00", "USDT")
    with pytest.raises(ValueError, match="not a currency"):
        Money(Decimal(1), "XAU")
    with pytest.raises(AttributeError):
        Money.parse("1.00", "EUR").amount = Decimal(2)  # type: ignore[misc]
