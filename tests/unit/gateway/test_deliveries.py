"""Deliveries: when an attempt is repeated, when given up, and that no endpoint takes another's place."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.deliveries import ClaimedDelivery, DeliveryState, Lanes, PostResult, RetrySchedule

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


def test_an_endpoint_is_closed_at_its_own_bound_and_opens_again() -> None:
    lanes = Lanes(whole_max=10, endpoint_max=2, slow_max=4)
    lanes.begin("a")
    lanes.begin("a")
    assert (lanes.closed(), lanes.room) == (["a"], 8)
    lanes.end("a", slow=False)
    assert (lanes.closed(), lanes.room) == ([], 9)


def test_an_endpoint_that_failed_gets_one_attempt_until_it_answers_well() -> None:
    lanes = Lanes(whole_max=10, endpoint_max=5, slow_max=4)
    lanes.begin("a")
    lanes.end("a", slow=True)
    assert (lanes.narrow(), lanes.closed()) == (["a"], [])
    lanes.begin("a")
    assert lanes.closed() == ["a"]
    lanes.end("a", slow=False)
    assert (lanes.narrow(), lanes.closed()) == ([], [])


def test_slow_endpoints_together_leave_room_for_the_others() -> None:
    lanes = Lanes(whole_max=6, endpoint_max=5, slow_max=3)
    for name in "abcd":
        lanes.begin(name)
        lanes.end(name, slow=True)
    for name in "abc":
        lanes.begin(name)
    assert "d" in lanes.closed()
    assert "well" not in lanes.closed()
    assert lanes.room == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_what_has_begun_and_ended_leaves_all_the_room_there_was(steps: list[tuple[str, bool]]) -> None:
    lanes = Lanes(whole_max=100, endpoint_max=5, slow_max=3)
    for name, _ in steps:
        lanes.begin(name)
    for name, slow in steps:
        lanes.end(name, slow=slow)
    assert lanes.room == 100
