"""What the gateway remembers of quotes is bounded, and never offered to another organization, pool or time."""

import pytest

from gateway.app.recent_quotes import ExpectedHold, RecentQuotes
from pools.types.v1 import types_pb2

HOLD = ExpectedHold("100.00", "EUR", "checkout_1")


def quote(quote_id: str = "pq_test_1", **changes: object) -> types_pb2.Quote:
    made = types_pb2.Quote(
        available=True,
        quote_id=quote_id,
        pool_id="EUR-USDT",
        type=types_pb2.QUOTE_TYPE_FIRM,
        side=types_pb2.SIDE_ON_RAMP,
        fiat=types_pb2.Money(amount="100.00", currency="EUR"),
        client_reference="checkout_1",
    )
    made.expire_time.seconds = 130
    made.MergeFrom(types_pb2.Quote(**changes))  # type: ignore[arg-type]
    return made


@pytest.fixture
def recent() -> RecentQuotes:
    return RecentQuotes(remembered_max=2, clock=lambda: 100.0)


def test_what_a_quote_will_hold_is_remembered(recent: RecentQuotes) -> None:
    recent.remember("org_1", quote())
    assert recent.expected_hold("org_1", "EUR-USDT", "pq_test_1") == HOLD


@pytest.mark.parametrize(
    ("organization_id", "pool_id", "quote_id"),
    [("org_2", "EUR-USDT", "pq_test_1"), ("org_1", "EUR-USDC", "pq_test_1"), ("org_1", "EUR-USDT", "pq_test_2")],
)
def test_it_is_said_to_nobody_else(recent: RecentQuotes, organization_id: str, pool_id: str, quote_id: str) -> None:
    recent.remember("org_1", quote())
    assert recent.expected_hold(organization_id, pool_id, quote_id) is None


@pytest.mark.parametrize(
    "changes",
    [{"side": types_pb2.SIDE_OFF_RAMP}, {"type": types_pb2.QUOTE_TYPE_INDICATIVE}],
    ids=["off-ramp", "indicative"],
)
def test_a_quote_that_will_hold_nothing_is_not_remembered(recent: RecentQuotes, changes: dict[str, object]) -> None:
    recent.remember("org_1", quote(**changes))
    assert recent.expected_hold("org_1", "EUR-USDT", "pq_test_1") is None


def test_a_rejected_quote_is_forgotten(recent: RecentQuotes) -> None:
    recent.remember("org_1", quote())
    recent.forget("pq_test_1")
    recent.forget("pq_test_1")
    assert recent.expected_hold("org_1", "EUR-USDT", "pq_test_1") is None


def test_an_expired_quote_is_not_offered() -> None:
    now = 100.0
    recent = RecentQuotes(clock=lambda: now)
    recent.remember("org_1", quote())
    now = 130.0
    assert recent.expected_hold("org_1", "EUR-USDT", "pq_test_1") is None


def test_the_oldest_makes_room(recent: RecentQuotes) -> None:
    for number in range(3):
        recent.remember("org_1", quote(f"pq_test_{number}"))
    known = [recent.expected_hold("org_1", "EUR-USDT", f"pq_test_{number}") for number in range(3)]
    assert known == [None, HOLD, HOLD]
