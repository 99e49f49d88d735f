"""What is left of the caller's deadline is passed on, less a margin, and work that outlives the caller has its own."""

import time

import pytest

from poolkit.rpc.deadlines import MARGIN_SECONDS, current_deadline, deadline, shortened


def test_without_a_callers_deadline_the_own_timeout_holds() -> None:
    assert shortened(2.0) == 2.0


def test_a_shorter_callers_deadline_wins_less_the_margin() -> None:
    with deadline(0.5):
        assert shortened(2.0) == pytest.approx(0.5 - MARGIN_SECONDS, abs=0.01)


def test_a_longer_callers_deadline_does_not_lengthen() -> None:
    with deadline(60):
        assert shortened(2.0) == 2.0


def test_nothing_left_is_zero_and_never_negative() -> None:
    token = current_deadline.set(time.time() - 10)
    try:
        assert shortened(2.0) == 0.0
    finally:
        current_deadline.reset(token)


def test_work_that_outlives_its_caller_has_its_own_and_gives_the_callers_back() -> None:
    with deadline(0.1):
        with deadline(5.0):
            assert shortened(60.0) == pytest.approx(5.0 - MARGIN_SECONDS, abs=0.01)
        assert shortened(60.0) < 0.1
