"""Deliveries: when an attempt is repeated, and when given up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.deliveries import ClaimedDelivery, DeliveryState, PostResult, RetrySchedule
from gateway.settings import ATTEMPTS_MAX, JITTER, LIVE_RETRY_SECONDS

SCHEDULE = RetrySchedule((0, 1, 3, 10), attempts_max=6, jitter=0.1)
DELIVERY = ClaimedDelivery("whd_1", "whk_1", 1, "e1", "http://localhost/", (b"s",), b"{}", "req_1", "")


@pytest.mark.parametrize("status_code", [200, 201, 204, 299])
def test_any_2xx_delivers(status_code: int) -> None:
    attempt = SCHEDULE.judge(DELIVERY, PostResult(status_code, "", 5), 0.5)
    assert (attempt.state, attempt.retry_seconds) == (DeliveryState.DELIVERED, 0)


@pytest.mark.parametrize("status_code", [0, 199, 301, 307, 400, 404, 410, 500])
def test_anything_else_is_tried_again(status_code: int) -> None:
    assert SCHEDULE.judge(DELIVERY, PostResult(status_code, "", 5), 0).state is DeliveryState.PENDING


def test_waits_follow_the_schedule_and_repeat_its_last() -> None:
    waits = [
        SCHEDULE.judge(replace(DELIVERY, number=number), PostResult(500, "", 5), 0).retry_seconds
        for number in range(1, 6)
    ]
    assert waits == [1, 3, 10, 10, 10]


def test_the_last_attempt_gives_up() -> None:
    attempt = SCHEDULE.judge(replace(DELIVERY, number=6), PostResult(0, "timeout", 10_000), 0)
    assert (attempt.state, attempt.retry_seconds) == (DeliveryState.DEAD, 0)


@given(chance=st.floats(0, 1), number=st.integers(1, 5))
def test_jitter_only_lengthens_a_wait_and_by_no_more_than_its_share(chance: float, number: int) -> None:
    plain = SCHEDULE.judge(replace(DELIVERY, number=number), PostResult(500, "", 5), 0).retry_seconds
    spread = SCHEDULE.judge(replace(DELIVERY, number=number), PostResult(500, "", 5), chance).retry_seconds
    assert plain <= spread <= plain * 1.1 + 1e-9


@given(number=st.integers(1, 5), earlier=st.integers(0, 50))
def test_after_a_replay_the_schedule_begins_anew(number: int, earlier: int) -> None:
    first = SCHEDULE.judge(replace(DELIVERY, number=number), PostResult(500, "", 5), 0)
    replayed = replace(DELIVERY, number=earlier + number, earlier_attempts=earlier)
    again = SCHEDULE.judge(replayed, PostResult(500, "", 5), 0)
    assert (again.state, again.retry_seconds) == (first.state, first.retry_seconds)


def test_in_production_eight_attempts_span_most_of_a_day() -> None:
    live = RetrySchedule(LIVE_RETRY_SECONDS, ATTEMPTS_MAX, JITTER)
    results = [live.judge(replace(DELIVERY, number=number), PostResult(500, "", 5), 0) for number in range(1, 9)]
    assert [result.retry_seconds for result in results] == [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 0]
    assert [result.state for result in results] == [DeliveryState.PENDING] * 7 + [DeliveryState.DEAD]
    assert LIVE_RETRY_SECONDS[0] == 0
    assert JITTER > 0
