"""Funding references: easy to type, and a mistyped one is never somebody else's."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.references import RANDOM_BITS, check_character, is_well_formed, near, normalized, reference_of

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


@settings(max_examples=10, deadline=None)
@given(codes, st.integers(2, 12), st.sampled_from(ALPHABET))
def test_a_reference_is_near_whatever_one_mistake_makes_of_it(code: str, place: int, other: str) -> None:
    reference = "0P" + code + check_character(code)
    wrong = reference[:place] + other + reference[place + 1 :]
    missing = reference[:place] + reference[place + 1 :]
    surplus = reference[:place] + other + reference[place:]
    swapped = reference[:11] + reference[12] + reference[11]
    for typed in (
        reference,
        wrong,
        missing,
        surplus,
        swapped,
        f"invoice 7, {wrong.lower()} thanks",
        "XX" + reference[2:],
    ):
        found = near(typed)
        assert reference in found
        assert all(is_well_formed(each) for each in found)


def test_nothing_is_near_a_text_without_a_code() -> None:
    for text in ("", "rent for november", "0P", "Ω" * 256):
        assert near(text) == set()
