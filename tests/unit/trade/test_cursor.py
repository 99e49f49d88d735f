"""Protects page tokens: opaque, URL-safe, and refused by name when they are not ours."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit import page_tokens
from poolkit.errors import InvalidRequest
from poolkit.ids import new_id
from trade.domain import cursor

LIST = ("trades", "org_1", "on_ramp", "")


def test_a_token_leads_back_to_its_place_and_needs_no_escaping() -> None:
    place = cursor.Position(datetime(2026, 11, 22, 10, 0, 0, 123457, tzinfo=UTC), new_id("pt", "test"))
    token = cursor.make(place, *LIST)
    assert cursor.read(token, *LIST) == place
    assert place.trade_id not in token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(min_size=1))
def test_anything_else_is_refused_naming_the_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        cursor.read(text, *LIST)
    assert refused.value.field == "page_token"


@given(st.integers(0, 80), st.characters(codec="ascii"))
def test_a_token_with_one_character_changed_is_refused(at: int, other: str) -> None:
    token = cursor.make(cursor.Position(datetime(2026, 11, 22, 10, tzinfo=UTC), new_id("pt", "test")), *LIST)
    changed = token[: at % len(token)] + other + token[at % len(token) + 1 :]
    if changed != token:
        with pytest.raises(InvalidRequest):
            cursor.read(changed, *LIST)


@pytest.mark.parametrize("of_list", [("trades", "org_1", "", ""), ("trades", "org_2", "on_ramp", ""), ("trade", "s")])
def test_a_token_of_another_list_is_refused(of_list: tuple[str, ...]) -> None:
    place = cursor.Position(datetime(2026, 11, 22, 10, tzinfo=UTC), new_id("pt", "test"))
    with pytest.raises(InvalidRequest) as refused:
        cursor.read(cursor.make(place, *LIST), *of_list)
    assert refused.value.field == "page_token"


def test_a_forged_token_of_no_place_is_refused_too() -> None:
    with pytest.raises(InvalidRequest):
        cursor.read(page_tokens.make("anywhere", *LIST), *LIST)
