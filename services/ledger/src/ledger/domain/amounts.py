"""Owns the ledger's arithmetic: whole minor units as integers, exact by nature, from and to decimal strings.

A batch of postings adds and compares thousands of amounts; integers do it at a tenth of the cost of decimals and can't
round. Text appears only where amounts come in, go out or are hashed.
"""

import re
from functools import lru_cache
from typing import Final

from poolkit.errors import InvalidRequest
from poolkit.money import DIGITS

_PLAIN: Final = re.compile(r"(-?)(0|[1-9][0-9]{0,29})(?:\.([0-9]{1,30}))?").fullmatch
# A plain dict: looked up for every amount of every entry, where a mapping proxy costs twice as much.
_DIGITS: Final = dict(DIGITS)
_SCALES: Final[dict[str, int]] = {currency: 10**digits for currency, digits in DIGITS.items()}


def minor_units(text: str, currency: str) -> int:
    """`"100.00"` EUR is 10,000. Signed. Raises InvalidRequest on anything but a plain decimal of a known currency."""
    digits = _DIGITS.get(currency)
    if digits is None:
        raise InvalidRequest(f"the currency {currency!r} is not one of {', '.join(DIGITS)}.", field="currency")
    whole, _, fraction = text.partition(".")
    plain = whole + fraction
    if whole and len(fraction) == digits and plain.isdecimal() and plain.isascii():
        return int(plain)
    match = _PLAIN(text)
    if match is None:
        raise InvalidRequest(f"{text!r} is not a plain decimal number.", field="amount")
    sign, whole, fraction = match.groups("")
    if len(fraction) > digits:
        # Trailing zeros change nothing; any other digit would have to be rounded away.
        if fraction[digits:].strip("0"):
            raise InvalidRequest(f"{text!r} has more digits than {currency} has.", field="amount")
        fraction = fraction[:digits]
    units = int(whole + fraction.ljust(digits, "0"))
    return -units if sign else units


def text_of(units: int, currency: str) -> str:
    """The amount with exactly the currency's minor digits: 10,000 EUR is `100.00`."""
    digits = _DIGITS[currency]
    text = str(units)
    # The sign counts as a character, for the comparison as for zfill, which keeps it in front of the zeros.
    length_min = digits + 2 if units < 0 else digits + 1
    if len(text) < length_min:
        text = text.zfill(length_min)
    return f"{text[:-digits]}.{text[-digits:]}"


def fiat_at_rate(fiat: int, rate: str, *, fiat_currency: str, crypto_currency: str) -> int:
    """`floor(fiat × rate)` to the crypto's minor digit: what the fiat is worth before spread.

    Source: contract section 8.
    """
    numerator, denominator = _fraction(rate)
    return fiat * numerator * _SCALES[crypto_currency] // (_SCALES[fiat_currency] * denominator)


def crypto_at_rate(crypto: int, rate: str, *, fiat_currency: str, crypto_currency: str) -> int:
    """`floor(crypto / rate)` to the fiat's minor digit: what the crypto is worth before spread.

    Source: contract section 8.
    """
    numerator, denominator = _fraction(rate)
    return crypto * denominator * _SCALES[fiat_currency] // (_SCALES[crypto_currency] * numerator)


@lru_cache(maxsize=4096)
def _fraction(rate: str) -> tuple[int, int]:
    match = _PLAIN(rate)
    if match is None or match[1]:
        raise InvalidRequest(f"{rate!r} is not a plain decimal number.", field="rate")
    fraction = match[3] or ""
    numerator = int(match[2] + fraction)
    if not numerator:
        raise InvalidRequest("it must be greater than zero.", field="rate")
    return numerator, 10 ** len(fraction)
