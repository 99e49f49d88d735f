"""Minor units: exact both ways, and nothing is ever rounded on the way in."""

from decimal import ROUND_FLOOR, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.amounts import crypto_at_rate, fiat_at_rate, minor_units, text_of
from poolkit.errors import InvalidRequest
from poolkit.money import format_amount


@given(st.integers(-(10**24), 10**24), st.sampled_from(["EUR", "USDT"]))
def test_units_survive_their_text(units: int, currency: str) -> None:
    text = text_of(units, currency)
    assert minor_units(text, currency) == units
    assert text == format_amount(Decimal(text), currency)


@pytest.mark.parametrize(
    ("text", "units"), [("100", 10_000), ("0.1", 10), ("0.10", 10), ("-0.01", -1), ("1.2300000", 123), ("0", 0)]
)
def test_other_ways_to_write_an_amount_mean_the_same(text: str, units: int) -> None:
    assert minor_units(text, "EUR") == units


@pytest.mark.parametrize(
    "text", ["", "1e3", "NaN", "+1.00", " 1.00", "1.00\n", "1_0.00", "١.00", "1.001", "--1", "1.", ".50", "0x1.00"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        minor_units(text, "EUR")


def test_unknown_currency_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        minor_units("1.00", "XXX")


@pytest.mark.parametrize("rate", ["0", "0.000000", "-1.0", "abc", ""])
def test_rate_that_is_no_price_is_refused(rate: str) -> None:
    with pytest.raises(InvalidRequest):
        fiat_at_rate(100, rate, fiat_currency="EUR", crypto_currency="USDT")


@given(st.integers(1, 10**20), st.decimals("0.000001", "100000", places=6))
def test_worth_is_floored_once(units: int, rate: Decimal) -> None:
    with localcontext(prec=80):
        fiat = (Decimal(units) / 100 * rate).quantize(Decimal("0.000001"), ROUND_FLOOR)
        crypto = (Decimal(units) / 10**6 / rate).quantize(Decimal("0.01"), ROUND_FLOOR)
        assert fiat_at_rate(units, f"{rate:f}", fiat_currency="EUR", crypto_currency="USDT") == fiat * 10**6
        assert crypto_at_rate(units, f"{rate:f}", fiat_currency="EUR", crypto_currency="USDT") == crypto * 100
