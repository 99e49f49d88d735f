"""A trade is matched only where its owner, the ledger and the provider agree to the last digit, either way round."""

from typing import Any

import pytest

from ledger.domain.close.facts import (
    Amount,
    LookedUp,
    Posted,
    PostingRow,
    Processing,
    ReportFact,
    TradeFact,
    TradeGroup,
    Transition,
)
from ledger.domain.close.kinds import Kind
from ledger.domain.close.trades import Limits, judge_trade

LIMITS = Limits(cut_ms=86_400_000, reserved_ms_max=600_000, waiting_ms_max=0)
FIAT, FEE, CRYPTO = Amount(100_00, "EUR"), Amount(20, "EUR"), Amount(107_904009, "USDT")
ID = "pt_test_1"


def trade(side: str = "on_ramp", status: str = "settled", **changes: Any) -> TradeFact:
    number = 2 if status == "returned" else 1
    reported = CRYPTO if status == "settled" else None
    move = Transition(status, number, "evt", "settlement", "p1", "whe_1", reported, 1)
    fact = TradeFact(
        ID, "org_1", "pq_1", "EUR-USDT", side, status, FIAT, CRYPTO, FEE, "ref", "req", "open", 0, transitions=(move,)
    )
    return fact._replace(**changes)


def judged(fact: TradeFact, posted: Posted, reported: Amount | None = CRYPTO) -> list[Kind]:
    posting = PostingRow(ID, 2, "ledger_01KB00000000000000000000", "org_1", "evt", "pq_1", "req", "ref")
    report = ReportFact(
        ID, "whe_1", "settlement", "p1", "settled", reported, Processing("processed", "applied", "", "", "req", 1)
    )
    group = TradeGroup(ID, fact, None, (posting,), (report,), ())
    return [finding.kind for finding in judge_trade(group, LookedUp({2: posted}, {}, {}), LIMITS)]


def legs(fiat: int, fee: int, crypto: int) -> Posted:
    return Posted(Amount(fiat, "EUR"), Amount(fee, "EUR"), Amount(crypto, "USDT"))


@pytest.mark.parametrize(
    ("side", "status", "posted"),
    [
        ("on_ramp", "settled", legs(-100_00, 20, 107_904009)),
        ("on_ramp", "returned", legs(100_00, -20, -107_904009)),
        ("off_ramp", "settled", legs(100_00, 20, -107_904009)),
        ("off_ramp", "returned", legs(-100_00, -20, 107_904009)),
    ],
)
def test_each_way_of_ending_matches_its_legs_and_no_others(side: str, status: str, posted: Posted) -> None:
    assert judged(trade(side, status), posted) == []
    for place in range(3):
        off = list(posted)
        units, currency = posted[place] or (0, "")
        off[place] = Amount(units + 1, currency)
        assert judged(trade(side, status), Posted(*off)) == [Kind.AMOUNT_MISMATCH]
    assert judged(trade(side, status), posted._replace(crypto=None)) == [Kind.AMOUNT_MISMATCH]


def test_a_fee_of_nothing_has_no_leg() -> None:
    posted = legs(-100_00, 0, 107_904009)._replace(fee=None)
    assert judged(trade(fee=Amount(0, "EUR")), posted) == []


def test_a_report_of_another_amount_is_one_exception_and_one_without_an_amount_is_none() -> None:
    posted = legs(-100_00, 20, 107_904009)
    assert judged(trade(), posted, Amount(1, "USDT")) == [Kind.AMOUNT_MISMATCH]
    assert judged(trade(), posted, Amount(107_904009, "USDC")) == [Kind.AMOUNT_MISMATCH]
    assert judged(trade(), posted, None) == []
