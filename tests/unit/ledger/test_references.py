"""Funding references: easy to type, and a mistyped one is never somebody else's."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.references import RANDOM_BITS, check_character, is_well_formed, normalized, reference_of

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
codes = st.text(ALPHABET, min_size=10, max_size=10)


@given(st.integers(0, 2**RANDOM_BITS - 1), st.integers(0, 2**RANDOM_BITS - 1))
def test_every_number_has_a_well_formed_reference_of_its_own(one: int, other: int) -> None:
    assert is_well_formed(reference_of(one))
    assert (reference_of(one) == reference_of(other)) == (one == other)


@given(codes, st.integers(0, 9), st.sampled_from(ALPHABET))
def test_every_wrong_character_is_found(code: str, place: int, wrong: str) -> None:
    mistyped = code[:place] + wrong + code[place + 1 :]
    assert (check_character(mistyped) == check_character(code)) == (mistyped == code)


@given(codes, st.integers(0, 8))
def test_every_swap_of_neighbours_is_found(code: str, place: int) -> None:
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert (check_character(swapped) == check_character(code)) == (swapped == code)


@given(codes)
def test_references_are_read_however_they_are_typed(code: str) -> None:
    reference = "0P" + code + check_character(code)
    typed = f" {reference[:4].lower()} {reference[4:8]}-{reference[8:].lower()} ".replace("0", "o").replace("1", "l")
    assert normalized(typed) == reference


def test_other_texts_are_no_references() -> None:
    for text in ("", "0P", "1P00000000000", "0P0000000000", "0P0000000000U", "Ω" * 13):
        assert not is_well_formed(text)
