"""Inventory: who is served, and what the end of a trade does to the stock, in whatever order it is told."""

from collections import Counter
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quote.domain.inventory import Change, Ending, Grant, Inventory, Want, allocate, change_of
from quote.domain.pools import Side

STOCKS = [("EUR-USDT", "USDT"), ("EUR-USDT", "EUR")]
wants = st.builds(
    Want,
    organization_id=st.sampled_from(["org_1", "org_2", "org_3"]),
    active_quotes_max=st.integers(1, 4),
    stock=st.sampled_from(STOCKS),
    amount=st.integers(1, 50).map(Decimal),
)
CRYPTO, FIAT = Decimal(100), Decimal("91.65")


@given(
    st.lists(wants, max_size=12),
    st.dictionaries(st.sampled_from(["org_1", "org_2"]), st.integers(0, 4)),
    st.dictionaries(st.sampled_from(STOCKS), st.integers(-5, 100).map(Decimal)),
)
def test_nobody_gets_more_than_there_is_or_more_quotes_than_allowed(
    orders: list[Want], active: dict[str, int], free: dict[tuple[str, str], Decimal]
) -> None:
    grants = allocate(orders, active=active, free=free)
    granted = [want for want, grant in zip(orders, grants, strict=True) if grant is Grant.GRANTED]
    for stock in STOCKS:
        taken = sum((want.amount for want in granted if want.stock == stock), Decimal(0))
        assert taken == 0 or taken <= free.get(stock, 0)
    counts: Counter[str] = Counter(active)
    for want, grant in zip(orders, grants, strict=True):
        full = counts[want.organization_id] >= want.active_quotes_max
        assert (grant is Grant.TOO_MANY_ACTIVE_QUOTES) == full
        counts[want.organization_id] += grant is Grant.GRANTED


@given(st.lists(wants, max_size=12), st.dictionaries(st.sampled_from(STOCKS), st.integers(0, 100).map(Decimal)))
def test_order_is_refused_only_when_those_before_it_left_too_little(
    orders: list[Want], free: dict[tuple[str, str], Decimal]
) -> None:
    left = dict(free)
    for want, grant in zip(orders, allocate(orders, active={}, free=free), strict=True):
        if grant is Grant.POOL_DRY:
            assert left.get(want.stock, 0) < want.amount
        elif grant is Grant.GRANTED:
            left[want.stock] -= want.amount


def add(changes: list[Change]) -> Change:
    return Change(
        sum((change.crypto_total for change in changes), Decimal(0)),
        sum((change.crypto_committed for change in changes), Decimal(0)),
        sum((change.fiat_total for change in changes), Decimal(0)),
        sum((change.fiat_committed for change in changes), Decimal(0)),
    )


@pytest.mark.parametrize(
    ("side", "endings", "expected"),
    [
        (Side.ON_RAMP, [Ending.SETTLED], Change(-CRYPTO, -CRYPTO)),
        (Side.ON_RAMP, [Ending.FAILED], Change(crypto_committed=-CRYPTO)),
        (Side.ON_RAMP, [Ending.RELEASED], Change(crypto_committed=-CRYPTO)),
        (Side.ON_RAMP, [Ending.SETTLED, Ending.RETURNED], Change(crypto_committed=-CRYPTO)),
        (Side.OFF_RAMP, [Ending.SETTLED], Change(CRYPTO, Decimal(0), -FIAT, -FIAT)),
        (Side.OFF_RAMP, [Ending.FAILED], Change(fiat_committed=-FIAT)),
        (Side.OFF_RAMP, [Ending.RELEASED], Change(fiat_committed=-FIAT)),
        (Side.OFF_RAMP, [Ending.SETTLED, Ending.RETURNED], Change(fiat_committed=-FIAT)),
    ],
)
def test_end_of_a_trade_moves_what_it_had_committed_whatever_the_order_of_its_events(
    side: Side, endings: list[Ending], expected: Change
) -> None:
    for order in permutations(endings):
        assert add([change_of(ending, side, crypto=CRYPTO, fiat=FIAT) for ending in order]) == expected


def test_nothing_is_free_until_what_is_owed_is_paid() -> None:
    row = Inventory("EUR-USDT", "USDT", Decimal(100), Decimal(60), Decimal(40), Decimal(30))
    assert row.free == Decimal(-30)
