"""An item's deadline is its own, and shrinks as it is handed on."""

import math
import time

import pytest

from poolkit.context import CallContext, current_request_id


def test_item_without_deadline_has_forever() -> None:
    context = CallContext("req_1", "org_1", "test")
    assert context.remaining() == math.inf
    assert context.remaining(margin=5) == math.inf
    assert not context.expired


def test_remaining_time_is_what_is_left_less_the_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    context = CallContext("req_1", "org_1", "test", deadline=1_002.0)
    assert context.remaining() == 2.0
    assert context.remaining(margin=0.5) == 1.5
    assert context.remaining(margin=3) == 0.0
    assert not context.expired
    assert CallContext("req_1", "org_1", "test", deadline=1_000.0).expired


def test_context_cannot_be_changed_behind_a_callers_back() -> None:
    with pytest.raises(AttributeError):
        CallContext("req_1", "org_1", "test").request_id = "req_2"  # type: ignore[misc]


def test_outside_a_request_there_is_no_request_id() -> None:
    assert current_request_id.get() == ""
