"""Protects the lifecycle: `reserved` to `settled`, `failed` or `released`, `settled` to `returned`, nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trade.builders import NOW, report, trade
from trade.domain.lifecycle import Outcome, Report, decide, decide_all
from trade.domain.trade import Side, Status, Trade

REPORTED = [Status.SETTLED, Status.FAILED, Status.RELEASED, Status.RETURNED]

TABLE = {
    (Status.RESERVED, Status.SETTLED): Outcome.APPLIED,
    (Status.RESERVED, Status.FAILED): Outcome.APPLIED,
    (Status.RESERVED, Status.RELEASED): Outcome.APPLIED,
    (Status.RESERVED, Status.RETURNED): Outcome.EARLY,
    (Status.SETTLED, Status.SETTLED): Outcome.REPEATED,
    (Status.SETTLED, Status.RETURNED): Outcome.APPLIED,
    (Status.RETURNED, Status.RETURNED): Outcome.REPEATED,
    (Status.RETURNED, Status.SETTLED): Outcome.REPEATED,
    (Status.FAILED, Status.FAILED): Outcome.REPEATED,
    (Status.RELEASED, Status.RELEASED): Outcome.REPEATED,
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("reported", REPORTED)
def test_each_report_in_each_status_does_what_the_table_says_and_every_other_is_refused(
    status: Status, reported: Status
) -> None:
    decision = decide(trade(status), report(reported), early_return=None, now=NOW)
    assert decision.outcome is TABLE.get((status, reported), Outcome.REFUSED)
    assert bool(decision.transitions) == (decision.outcome is Outcome.APPLIED)
    assert (decision.reason == "illegal_transition") == (decision.outcome is Outcome.REFUSED)


def test_an_early_return_is_applied_together_with_settled_as_events_one_and_two() -> None:
    decision = decide(trade(), report(Status.SETTLED), early_return=report(Status.RETURNED), now=NOW)
    assert [move.trade.status for move in decision.transitions] == [Status.SETTLED, Status.RETURNED]
    assert [move.trade.terminal_count for move in decision.transitions] == [1, 2]


def test_a_second_early_return_is_a_repeat() -> None:
    decision = decide(trade(), report(Status.RETURNED), early_return=report(Status.RETURNED), now=NOW)
    assert decision.outcome is Outcome.REPEATED


def test_an_off_ramp_never_settles_for_another_amount_or_currency() -> None:
    for wrong in (
        report(Status.SETTLED, crypto_amount="107.904008"),
        report(Status.SETTLED, crypto_currency="USDC"),
        report(Status.SETTLED, crypto_amount=""),
    ):
        decision = decide(trade(side=Side.OFF_RAMP), wrong, early_return=None, now=NOW)
        assert (decision.outcome, decision.reason) == (Outcome.REFUSED, "report_mismatch")
    equal = report(Status.SETTLED, crypto_amount="107.9040090")
    assert decide(trade(side=Side.OFF_RAMP), equal, early_return=None, now=NOW).outcome is Outcome.APPLIED


def test_an_on_ramp_settles_whatever_was_delivered_since_the_close_compares_it() -> None:
    decision = decide(trade(), report(Status.SETTLED, crypto_amount="1.000000"), early_return=None, now=NOW)
    assert decision.outcome is Outcome.APPLIED


def test_a_replay_shows_the_trade_as_it_was_reserved() -> None:
    later = NOW + timedelta(hours=1)
    settled = decide(trade(), report(Status.SETTLED), early_return=None, now=later).transitions[0].trade
    assert settled.terminal_at == later
    assert settled.as_reserved() == trade()
    closed = replace(settled, reconciliation_state="matched", deposit_address="TAddress01")
    assert closed.as_reserved() == replace(trade(), deposit_address="TAddress01")


@given(st.lists(st.sampled_from(REPORTED), max_size=12), st.integers(min_value=1, max_value=4))
def test_whatever_is_reported_in_whatever_batches_a_trade_only_moves_legally(
    statuses: list[Status], batch_size: int
) -> None:
    current: Trade = trade()
    early: Report | None = None
    path = [current.status]
    numbers: list[int] = []
    for start in range(0, len(statuses), batch_size):
        reports = [report(status) for status in statuses[start : start + batch_size]]
        for given_report, decision in zip(
            reports, decide_all(current, reports, early_return=early, now=NOW), strict=True
        ):
            if decision.outcome is Outcome.EARLY:
                early = given_report
            for move in decision.transitions:
                current = move.trade
                path.append(current.status)
                numbers.append(current.terminal_count)
    assert path in (
        [Status.RESERVED],
        [Status.RESERVED, Status.FAILED],
        [Status.RESERVED, Status.RELEASED],
        [Status.RESERVED, Status.SETTLED],
        [Status.RESERVED, Status.SETTLED, Status.RETURNED],
    )
    assert numbers == list(range(1, len(path)))
    if Status.SETTLED in path and Status.RETURNED in statuses:
        assert path[-1] is Status.RETURNED
