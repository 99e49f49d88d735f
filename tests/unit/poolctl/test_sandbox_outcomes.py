"""Protects the sandbox's promise: the last four digits choose the outcome, and telling it again tells the same."""

import pytest

from poolctl.sandbox.outcomes import reports_of
from pools.types.v1 import types_pb2


def trade(suffix: str, side: types_pb2.Side.ValueType = types_pb2.SIDE_ON_RAMP) -> types_pb2.Trade:
    buying = side == types_pb2.SIDE_ON_RAMP
    return types_pb2.Trade(
        transact_id="pt_test_1",
        side=side,
        destination_address=f"TQsomewhere{suffix}" if buying else "",
        client_reference="order-0002" if buying else f"order-{suffix}",
        crypto=types_pb2.Money(amount="107.904009", currency="USDT"),
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
    assert [report.body["kind"] for report in reports_of(trade(suffix, side))] == [f"trade.{kind}" for kind in kinds]


def test_a_settled_report_names_what_was_delivered_and_others_do_not() -> None:
    settled, returned = reports_of(trade("0004"))
    assert (settled.body["cryptoAmount"], settled.body["cryptoCurrency"]) == ("107.904009", "USDT")
    assert settled.body["networkTransactionId"]
    assert "cryptoAmount" not in returned.body


def test_a_trade_heard_of_twice_is_reported_in_the_same_words() -> None:
    assert reports_of(trade("0006")) == reports_of(trade("0006"))
    assert len({report.event_id for report in reports_of(trade("0006"))}) == 2
