"""Protects page tokens: opaque, URL-safe, and refused by name when they are not ours."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit.errors import InvalidRequest
from poolkit.ids import new_id
from trade.domain import cursor


def test_a_token_leads_back_to_its_place_and_needs_no_escaping() -> None:
    place = cursor.Position(datetime(2026, 11, 22, 10, 0, 0, 123457, tzinfo=UTC), new_id("pt", "test"))
    token = cursor.make(place)
    assert cursor.read(token) == place
    assert place.trade_id not in token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(min_size=1))
def test_anything_else_is_refused_naming_the_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        cursor.read(text)
    assert refused.value.field == "page_token"


@given(st.integers(0, 60), st.characters(codec="ascii"))
def test_a_token_with_one_character_changed_is_refused_or_another_place(at: int, other: str) -> None:
    place = cursor.Position(datetime(2026, 11, 22, 10, tzinfo=UTC), new_id("pt", "test"))
    token = cursor.make(place)
    changed = token[: at % len(token)] + other + token[at % len(token) + 1 :]
    try:
        found = cursor.read(changed)
    except InvalidRequest:
        return
    assert (found == place) == (changed == token)
