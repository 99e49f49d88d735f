"""Deliveries: when an attempt is repeated, and when given up."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.app.deliveries import CLAIM_SECONDS
from gateway.domain.deliveries import ClaimedDelivery, DeliveryState, PostResult, RetrySchedule
from gateway.outbound.webhooks import ATTEMPT_SECONDS_MAX
from gateway.settings import ATTEMPTS_MAX, JITTER, LIVE_RETRY_SECONDS, GatewaySettings
from poolkit.security import new_encryption_key

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


def told(mode: str, **others: Any) -> GatewaySettings:
    """The gateway's settings where nobody sets more than is required."""
    nowhere = dict.fromkeys(("quote_address", "trade_address", "ledger_address", "webhook_ingest_address"), "x:1")
    return GatewaySettings(
        mode=mode, database_url="postgresql://x/x", key_pepper="x" * 16, encryption_key=new_encryption_key(),
        **nowhere, **others,
    )  # fmt: skip


def test_each_mode_has_its_schedule_and_both_its_limits() -> None:
    live, test = told("live"), told("test")
    assert (live.retry_schedule.delays_seconds, live.retry_schedule.attempts_max) == (LIVE_RETRY_SECONDS, ATTEMPTS_MAX)
    assert test.retry_schedule.delays_seconds == (0, 1, 3, 10)
    assert live.endpoint_failing_seconds_max == test.endpoint_failing_seconds_max == 5 * 24 * 3600
    assert ATTEMPT_SECONDS_MAX == 10 < CLAIM_SECONDS


def test_no_setting_leads_webhooks_of_live_mode_into_private_networks() -> None:
    assert told("test", allow_private_endpoints=True).allow_private_endpoints
    assert not told("live").allow_private_endpoints
    with pytest.raises(ValidationError, match="POOLS_ALLOW_PRIVATE_ENDPOINTS is set in mode live"):
        told("live", allow_private_endpoints=True)
