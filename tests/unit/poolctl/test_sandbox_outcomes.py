"""Protects the sandbox's promise: the last four digits choose the outcome, and telling it again tells the same."""

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from poolctl.sandbox.outcomes import reports_of
from pools.types.v1 import types_pb2
from webhook_ingest.api.bodies import read_event


def trade(suffix: str, side: types_pb2.Side.ValueType = types_pb2.SIDE_ON_RAMP) -> types_pb2.Trade:
    buying = side == types_pb2.SIDE_ON_RAMP
    return types_pb2.Trade(
        transact_id="pt_test_1",
        side=side,
        destination_address=f"TQsomewhere{suffix}" if buying else "",
        client_reference="order-0002" if buying else f"order-{suffix}",
        crypto=types_pb2.Money(amount="107.904009", currency="USDT"),
        create_time=Timestamp(seconds=1_795_000_000, nanos=123_456_000),
    )


@pytest.mark.parametrize(
    ("suffix", "kinds"),
    [
        ("0001", ["settled"]),
        ("0002", ["failed"]),
        ("0003", ["released"]),
        ("0004", ["settled", "returned"]),
        ("0005", []),
        ("0006", ["returned"] * 3 + ["settled"] * 3),
        ("9999", ["settled"]),
    ],
)
@pytest.mark.parametrize("side", [types_pb2.SIDE_ON_RAMP, types_pb2.SIDE_OFF_RAMP])
def test_the_last_four_digits_choose_the_outcome(side: types_pb2.Side.ValueType, suffix: str, kinds: list[str]) -> None:
    assert [report.kind for report in reports_of(trade(suffix, side))] == [f"trade.{kind}" for kind in kinds]


def test_a_settled_report_names_what_was_delivered_and_others_do_not() -> None:
    settled, returned = [json.loads(report.body) for report in reports_of(trade("0004"))]
    assert (settled["cryptoAmount"], settled["cryptoCurrency"]) == ("107.904009", "USDT")
    assert settled["networkTransactionId"]
    assert "cryptoAmount" not in returned


def test_a_trade_heard_of_twice_is_reported_in_the_same_words() -> None:
    assert reports_of(trade("0006")) == reports_of(trade("0006"))


def test_reported_three_times_is_an_event_the_same_again_and_another_that_says_the_same() -> None:
    reports = reports_of(trade("0006"))
    assert [report.event_id for report in reports] == [
        "stl_pt_test_1_returned", "stl_pt_test_1_returned", "stl_pt_test_1_returned_again",
        "stl_pt_test_1_settled", "stl_pt_test_1_settled", "stl_pt_test_1_settled_again",
    ]  # fmt: skip
    first, same, other = [json.loads(report.body) for report in reports[3:]]
    assert first == same
    assert {name for name in first if first[name] != other[name]} == {"eventId"}


@pytest.mark.parametrize("suffix", ["0001", "0002", "0003", "0004", "0006"])
def test_every_report_is_one_that_webhook_ingest_can_read(suffix: str) -> None:
    for report in reports_of(trade(suffix)):
        event = read_event(report.body)
        assert (event.event_id, event.kind) == (report.event_id, report.kind)
