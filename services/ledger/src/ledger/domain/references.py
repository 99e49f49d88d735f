"""Owns funding references: short codes for people to type, whose last character finds typing mistakes.

`0P` and eleven characters of Crockford's base 32 (no I, L, O, U): ten random ones and a check character, the sum of the
others weighted with powers of a generator of GF(32). It finds every single wrong character and every swap of two
neighbours.
"""

from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PREFIX: Final = "0P"
_RANDOM_LENGTH: Final = 10
RANDOM_BITS: Final = 5 * _RANDOM_LENGTH
LENGTH: Final = len(_PREFIX) + _RANDOM_LENGTH + 1
STARTS_MAX: Final = 4
_LOOKALIKES: Final = str.maketrans("OIL", "011", " -\t\u00a0")


def reference_of(bits: int) -> str:
    """The code of a random number of RANDOM_BITS bits."""
    code = "".join([_ALPHABET[bits >> shift & 31] for shift in range(0, RANDOM_BITS, 5)])
    return _PREFIX + code + check_character(code)


def normalized(typed: str) -> str:
    """A code as it is stored: without spaces and dashes, upper case, O read as 0, I and L as 1."""
    return typed.upper().translate(_LOOKALIKES)


def is_well_formed(reference: str) -> bool:
    """Whether a normalized code can be a reference: its length, its alphabet, its check character."""
    code = reference.removeprefix(_PREFIX)
    return (
        len(reference) == len(_PREFIX) + _RANDOM_LENGTH + 1
        and reference.startswith(_PREFIX)
        and all(character in _ALPHABET for character in code)
        and check_character(code[:-1]) == code[-1]
    )


def near(typed: str) -> set[str]:
    """The well-formed codes in a text, and those that one mistake makes of what is in it.

    A mistake is a wrong, missing or surplus character behind the prefix, or two neighbours swapped; or the prefix, in a
    text that is just as long as a code.
    """
    text = normalized(typed)
    starts = [start for start in range(len(text)) if text.startswith(_PREFIX, start)][:STARTS_MAX]
    codes = {_PREFIX + text[len(_PREFIX) :]} if len(text) == LENGTH else set()
    for start in starts:
        codes |= _one_mistake_from(text[start : start + LENGTH])
        codes |= {text[start:at] + text[at + 1 : start + LENGTH + 1] for at in range(start + 2, start + LENGTH + 1)}
        short = text[start : start + LENGTH - 1]
        codes |= {short[:at] + character + short[at:] for at in range(2, LENGTH) for character in _ALPHABET}
    return {code for code in codes if is_well_formed(code)}


def _one_mistake_from(code: str) -> set[str]:
    places = range(len(_PREFIX), len(code))
    wrong = {code[:at] + character + code[at + 1 :] for at in places for character in _ALPHABET}
    swapped = {code[:at] + code[at + 1] + code[at] + code[at + 2 :] for at in places[:-1]}
    return {code} | wrong | swapped


def check_character(code: str) -> str:
    """The character that makes a code whole."""
    total = 0
    for character in code:
        # Horner's scheme: the sum so far times the generator, plus the next value; addition in GF(32) is XOR.
        total = _doubled(total ^ _ALPHABET.index(character))
    return _ALPHABET[total]


def _doubled(value: int) -> int:
    """Times x in GF(2)[x] modulo x⁵ + x² + 1."""
    value <<= 1
    return value ^ 0b100101 if value & 0b100000 else value
