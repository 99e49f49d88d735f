"""Protects the rolling notional cap: never exceeded, whatever arrives together, and not a cent earlier."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trade.domain.velocity import Candidate, exceeding

CENTS = st.integers(min_value=1, max_value=10_000).map(lambda cents: Decimal(cents) / 100)


def candidate(amount: str, *, organization: str = "org_1", cap: str | None = "100.00") -> Candidate:
    return Candidate(organization, "EUR", Decimal(amount), None if cap is None else Decimal(cap))


def test_reaching_the_cap_exactly_is_allowed_and_a_cent_more_is_not() -> None:
    used = {("org_1", "EUR"): Decimal("60.00")}
    assert exceeding([candidate("40.00"), candidate("0.01")], used=used) == [False, True]


def test_what_does_not_fit_leaves_room_for_what_does() -> None:
    assert exceeding([candidate("150.00"), candidate("100.00")], used={}) == [True, False]


def test_organizations_and_currencies_do_not_share_a_cap() -> None:
    other = Candidate("org_1", "GBP", Decimal("100.00"), Decimal("100.00"))
    assert exceeding([candidate("100.00"), candidate("100.00", organization="org_2"), other], used={}) == [False] * 3


def test_no_cap_means_no_limit() -> None:
    assert exceeding([candidate("1000000.00", cap=None)], used={("org_1", "EUR"): Decimal("1e9")}) == [False]


@given(st.lists(CENTS, max_size=30), CENTS, CENTS)
def test_admitted_trades_never_exceed_the_cap(amounts: list[Decimal], cap: Decimal, used: Decimal) -> None:
    verdicts = exceeding([Candidate("org_1", "EUR", amount, cap) for amount in amounts], used={("org_1", "EUR"): used})
    admitted = sum((amount for amount, over in zip(amounts, verdicts, strict=True) if not over), Decimal(0))
    assert admitted == 0 or used + admitted <= cap
