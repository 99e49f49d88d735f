"""Money: exact decimals with a currency, from and to decimal strings, never a float and never rounded in silence.

Arithmetic that could outgrow Python's default 28 digits goes through `product`, `total` and the quotients, which are
exact or refuse. Source: contract section 2.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
)
from types import MappingProxyType
from typing import Final, Self

from poolkit.errors import InvalidRequest

DIGITS: Final[Mapping[str, int]] = MappingProxyType({"EUR": 2, "GBP": 2, "USD": 2, "USDT": 6, "USDC": 6})
"""Minor digits of every currency there is: an amount has at most this many."""

FIAT: Final = frozenset({"EUR", "GBP", "USD"})
CRYPTO: Final = frozenset({"USDT", "USDC"})

ZERO: Final = Decimal(0)

_REFUSED: Final = [InvalidOperation, DivisionByZero, Overflow, Underflow, Clamped, FloatOperation]
EXACT: Final = Context(prec=60, traps=[*_REFUSED, Inexact])
"""Refuses (decimal.Inexact) whatever would need a rounding. Use its methods: `EXACT.multiply(a, b)`."""
_FLOOR: Final = Context(prec=60, rounding=ROUND_FLOOR, traps=_REFUSED)
_CEILING: Final = Context(prec=60, rounding=ROUND_CEILING, traps=_REFUSED)

_QUANTA: Final = {currency: Decimal((0, (1,), -digits)) for currency, digits in DIGITS.items()}
_UNITS: Final = tuple(Decimal((0, (1,), -digits)) for digits in range(31))
_AMOUNTS: Final = {
    currency: re.compile(rf"(?:0|[1-9][0-9]{{0,17}})(?:\.[0-9]{{1,{digits}}})?") for currency, digits in DIGITS.items()
}
_AMOUNT: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.([0-9]+))?")
_SIGNED: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?")


def parse_amount(text: str, currency: str, *, field: str = "amount") -> Decimal:
    """Read what a partner sent: greater than zero, 18 digits before the point, at most the currency's behind it.

    Raises InvalidRequest naming `field` and saying what is wrong. More digits are refused, never rounded.
    """
    pattern = _AMOUNTS.get(currency)
    if pattern is not None and pattern.fullmatch(text) is not None:
        amount = Decimal(text)
        if amount:
            return amount
    raise _refused_amount(text, currency, field)


def _refused_amount(text: str, currency: str, field: str) -> InvalidRequest:
    if currency not in DIGITS:
        return InvalidRequest(f"the currency is not one of {', '.join(DIGITS)}; use one of these.", field=field)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return InvalidRequest(
            'it is not a decimal number as in "100.00": digits without sign, exponent or leading zeros, at most 18 '
            "before the point; send it so, as a string.",
            field=field,
        )
    digits = DIGITS[currency]
    if match[1] and len(match[1]) > digits:
        return InvalidRequest(
            f"it has {len(match[1])} decimal digits, and {currency} has at most {digits}; amounts are never rounded, "
            f"so send at most {digits}.",
            field=field,
        )
    return InvalidRequest("it must be greater than zero; send a positive amount.", field=field)


def parse_decimal(text: str, *, field: str = "amount") -> Decimal:
    """Read a signed decimal from a colleague: at most 30 digits on each side of the point.

    Raises InvalidRequest on anything else, exponents and `NaN` included.
    """
    if _SIGNED.fullmatch(text) is None:
        raise InvalidRequest("it is not a plain decimal number; send digits with at most one point.", field=field)
    return Decimal(text)


def format_amount(value: Decimal, currency: str) -> str:
    """Write with exactly the currency's minor digits: 100 EUR is `100.00`. Raises ValueError rather than round."""
    try:
        text = str(EXACT.quantize(value, _QUANTA[currency]))
        if text == "NaN":
            raise InvalidOperation
    except KeyError:
        raise ValueError(f"{currency!r} is not a currency; known are {', '.join(DIGITS)}.") from None
    except (Inexact, InvalidOperation):
        raise ValueError(
            f"{value} does not fit {currency}, which has {DIGITS[currency]} minor digits; round it first, once, in the "
            "pool's favour."
        ) from None
    # A zero keeps the sign of what it came from; nobody owes minus nothing.
    return text[1:] if not value and text[0] == "-" else text


def format_decimal(value: Decimal, digits: int) -> str:
    """Write with exactly `digits` behind the point, for rates. Raises ValueError rather than round."""
    try:
        text = format(EXACT.quantize(value, _UNITS[digits]), "f")
        if text == "NaN":
            raise InvalidOperation
    except (Inexact, InvalidOperation):
        raise ValueError(f"{value} does not fit {digits} decimal digits; round it first, once.") from None
    return text[1:] if not value and text[0] == "-" else text


def floor_to(value: Decimal, digits: int) -> Decimal:
    """Round down, towards minus infinity, to `digits` (0 to 30) behind the point."""
    return _FLOOR.quantize(value, _UNITS[digits])


def ceil_to(value: Decimal, digits: int) -> Decimal:
    """Round up, towards plus infinity, to `digits` (0 to 30) behind the point."""
    return _CEILING.quantize(value, _UNITS[digits])


def product(first: Decimal, *others: Decimal) -> Decimal:
    """Multiply exactly; raises decimal.Inexact beyond 60 digits."""
    for other in others:
        first = EXACT.multiply(first, other)
    return first


def total(values: Iterable[Decimal]) -> Decimal:
    """Add exactly; raises decimal.Inexact beyond 60 digits."""
    result = ZERO
    for value in values:
        result = EXACT.add(result, value)
    return result


def quotient_floor(numerator: Decimal, denominator: Decimal, digits: int) -> Decimal:
    """`numerator / denominator` rounded once, down towards minus infinity, to `digits` behind the point."""
    return _quotient(numerator, denominator, digits, round_up=False)


def quotient_ceil(numerator: Decimal, denominator: Decimal, digits: int) -> Decimal:
    """`numerator / denominator` rounded once, up towards plus infinity, to `digits` behind the point."""
    return _quotient(numerator, denominator, digits, round_up=True)


def _quotient(numerator: Decimal, denominator: Decimal, digits: int, *, round_up: bool) -> Decimal:
    # Integer division with its remainder is exact, where a division cut off at 60 digits would round a second time.
    whole, remainder = EXACT.divmod(EXACT.scaleb(numerator, digits), denominator)
    if remainder:
        # divmod cuts towards zero; the remainder carries the numerator's sign.
        positive = (numerator < 0) == (denominator < 0)
        if positive and round_up:
            whole = EXACT.add(whole, _UNITS[0])
        elif not positive and not round_up:
            whole = EXACT.subtract(whole, _UNITS[0])
    return EXACT.scaleb(whole, -digits)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency; may be negative, as ledger deltas are."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not Decimal:
            raise TypeError(f"Money holds a Decimal, not {type(self.amount).__name__}; read text with Money.parse.")
        if not self.amount.is_finite():
            raise ValueError(f"{self.amount} is not an amount.")
        if self.currency not in DIGITS:
            raise ValueError(f"{self.currency!r} is not a currency; known are {', '.join(DIGITS)}.")

    @classmethod
    def parse(cls, text: str, currency: str, *, field: str = "amount") -> Self:
        """Read what a partner sent; raises InvalidRequest as `parse_amount` does."""
        return cls(parse_amount(text, currency, field=field), currency)

    @property
    def text(self) -> str:
        """The amount with exactly its currency's minor digits."""
        return format_amount(self.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        return Money(EXACT.add(self.amount, self._same_currency(other)), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(EXACT.subtract(self.amount, self._same_currency(other)), self.currency)

    def __neg__(self) -> "Money":
        # copy_negate alone is exact in every context; adding zero drops the sign of a negated zero.
        return Money(EXACT.add(self.amount.copy_negate(), ZERO), self.currency)

    def _same_currency(self, other: "Money") -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added; convert one of them first.")
        return other.amount
