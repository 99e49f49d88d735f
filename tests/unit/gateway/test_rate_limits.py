"""Rate limits: never more than a bucket holds, never less than it promised, and nobody spends another's."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.rate_limit_fields import RateLimitFields
from gateway.app import rate_limits
from gateway.app.rate_limits import Left, Policy, RateLimit, RateLimits, Standing
from gateway.domain.entitlement import KeyKind, Principal
from tests.unit.gateway.test_gates import PRINCIPAL

PLENTY = RateLimit(1_000_000, 1_000_000)


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> int:
        return round(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the buckets take for the time."""
    clock = Clock()
    monkeypatch.setattr(rate_limits, "monotonic_ns", clock)
    return clock


def key(name: str, organization_id: str = "org_1", kind: KeyKind = KeyKind.SECRET) -> Principal:
    return replace(PRINCIPAL, key_id=name, organization_id=organization_id, key_kind=kind)


def admitted(limits: RateLimits, principal: Principal, calls: int) -> int:
    return sum(limits.take(principal).retry_after_seconds == 0 for _ in range(calls))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    per_second=st.integers(1, 50),
    burst=st.integers(1, 50),
    gaps=st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 2.0]), min_size=1, max_size=120),
)
def test_no_window_admits_more_than_the_burst_and_what_flowed_in(
    clock: Clock, per_second: int, burst: int, gaps: list[float]
) -> None:
    limits = RateLimits(key=RateLimit(per_second, burst), organization=PLENTY)
    taken: list[float] = []
    for gap in gaps:
        clock.now += gap
        if not limits.take(key("key_1")).retry_after_seconds:
            taken.append(clock.now)
    for first, since in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + per_second * (taken[last] - since) + 1e-6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(per_second=st.integers(1, 50), burst=st.integers(1, 50), others=st.integers(0, 200))
def test_whoever_waits_as_long_as_told_is_let_in(clock: Clock, per_second: int, burst: int, others: int) -> None:
    limits = RateLimits(key=RateLimit(per_second, burst), organization=PLENTY)
    assert admitted(limits, key("key_1"), burst + others) == burst
    clock.now += limits.take(key("key_1")).retry_after_seconds
    assert limits.take(key("key_1")).retry_after_seconds == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(burst=st.integers(1, 50), calls=st.integers(1, 50))
def test_what_is_said_to_be_left_is_left(clock: Clock, burst: int, calls: int) -> None:
    limits = RateLimits(key=RateLimit(1, burst), organization=PLENTY)
    for _ in range(min(calls, burst)):
        [of_key, _] = limits.take(key("key_1")).left
    assert admitted(limits, key("key_1"), burst + 1) == of_key.calls


def test_keys_of_an_organization_share_its_bucket_and_no_other_organizations(clock: Clock) -> None:
    limits = RateLimits(key=PLENTY, organization=RateLimit(1, 5))
    assert admitted(limits, key("key_1"), 3) + admitted(limits, key("key_2"), 3) == 5
    refused = limits.take(key("key_2"))
    assert refused == Standing((Left("organization", 0, 1),), 1)
    assert admitted(limits, key("key_3", "org_2"), 5) == 5


def test_a_key_over_its_own_limit_costs_its_organization_nothing(clock: Clock) -> None:
    limits = RateLimits(key=RateLimit(1, 2), organization=RateLimit(1, 4))
    assert admitted(limits, key("key_1"), 100) == 2
    assert limits.take(key("key_1")).left == (Left("key", 0, 1),)
    assert admitted(limits, key("key_2"), 2) == 2


def test_a_key_that_everyone_can_read_cannot_lock_out_the_servers(clock: Clock) -> None:
    limits = RateLimits(key=PLENTY, organization=RateLimit(1, 5))
    assert admitted(limits, key("pk_1", kind=KeyKind.PUBLISHABLE), 100) == 5
    assert admitted(limits, key("sk_1"), 100) == 5


def test_buckets_are_bounded_and_the_idlest_is_forgotten_first(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "BUCKETS_MAX", 10)
    limits = RateLimits(key=RateLimit(1, 2), organization=PLENTY)
    busy = key("busy")
    assert admitted(limits, busy, 3) == 2
    for number in range(100):
        limits.take(key(f"key_{number}"))
        assert limits.take(busy).retry_after_seconds == 1


@pytest.mark.parametrize(
    ("standing", "policy", "left"),
    [
        (
            Standing((Left("key", 999, 1), Left("organization", 12, 2))),
            '"key";q=1000;w=2, "organization";q=2000;w=3',
            '"key";r=999;t=1, "organization";r=12;t=2',
        ),
        (
            Standing((Left("key", 0, 7),), 7),
            '"key";q=1000;w=2, "organization";q=2000;w=3',
            '"key";r=0;t=7',
        ),
    ],
)
def test_the_fields_are_spelled_as_the_draft_has_them(standing: Standing, policy: str, left: str) -> None:
    fields = RateLimitFields([Policy("key", 1000, 2), Policy("organization", 2000, 3)])
    assert dict(fields.headers(standing)) == {b"ratelimit-policy": policy.encode(), b"ratelimit": left.encode()}
    metadata = dict(fields.metadata(standing))
    assert int(metadata.pop("retry-after", "0")) == standing.retry_after_seconds
    assert metadata == {"ratelimit-policy": policy, "ratelimit": left}
    assert fields.headers(None) == ()


def test_windows_are_whole_seconds_and_never_none() -> None:
    told: Callable[[RateLimit], Policy] = lambda limit: RateLimits(key=limit, organization=PLENTY).policies[0]  # noqa: E731
    assert told(RateLimit(500, 1000)) == Policy("key", 1000, 2)
    assert told(RateLimit(100, 1)) == Policy("key", 1, 1)
    assert told(RateLimit(3, 10)) == Policy("key", 10, 4)
