"""Contexts, money and times keep their value on the way to protobuf and back."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit.context import CallContext
from poolkit.errors import InvalidRequest
from poolkit.money import Money
from poolkit.rpc.convert import from_context, from_money, from_time, to_context, to_money, to_time
from pools.types.v1 import types_pb2

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@given(st.sampled_from(["test", "live"]), st.floats(min_value=1.0, max_value=4e9))
def test_a_context_survives(mode: str, deadline: float) -> None:
    context = CallContext("req_1", "org_1", mode, TRACEPARENT, deadline)
    back = to_context(from_context(context))
    assert (back.request_id, back.organization_id, back.mode, back.traceparent) == ("req_1", "org_1", mode, TRACEPARENT)
    assert back.deadline == pytest.approx(deadline, abs=1e-6)


def test_no_deadline_stays_none() -> None:
    proto = from_context(CallContext("req_1", "org_1", "test"))
    assert not proto.HasField("deadline_time")
    assert to_context(proto).deadline == 0.0


@pytest.mark.parametrize("mode", [types_pb2.MODE_UNSPECIFIED, types_pb2.MODE_LIVE])
def test_an_item_of_another_mode_is_refused(mode: types_pb2.Mode.ValueType) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_context(types_pb2.RequestContext(mode=mode), "test")
    assert caught.value.field == "context.mode"


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_survives_to_the_microsecond(moment: datetime) -> None:
    assert to_time(from_time(moment)) == moment


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=2)))
    assert to_time(from_time(moment)) == moment
    assert to_time(from_time(moment)).tzinfo is UTC


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        from_time(datetime(2026, 11, 22))  # noqa: DTZ001


def test_money_survives_with_its_currencys_digits() -> None:
    proto = from_money(Money(Decimal(-100), "EUR"))
    assert (proto.amount, proto.currency) == ("-100.00", "EUR")
    assert to_money(proto) == Money(Decimal("-100.00"), "EUR")
