"""Protects page tokens: opaque, URL-safe, and refused by name when they are not ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit.errors import InvalidRequest
from poolkit.ids import new_id
from trade.domain import cursor


def test_a_token_leads_back_to_its_id_and_needs_no_escaping() -> None:
    trade_id = new_id("pt", "test")
    token = cursor.make(trade_id)
    assert cursor.read(token) == trade_id
    assert trade_id not in token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(min_size=1))
def test_anything_else_is_refused_naming_the_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        cursor.read(text)
    assert refused.value.field == "page_token"
