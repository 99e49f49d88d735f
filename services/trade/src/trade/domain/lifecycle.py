"""Owns which settlement reports move a trade, and where to.

`reserved` becomes `settled`, `failed` or `released`; `settled` becomes `returned`; nothing else, ever.
Source: contract section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trade.domain.trade import Side, Status, Trade

LEGAL: dict[Status, frozenset[Status]] = {
    Status.RESERVED: frozenset({Status.SETTLED, Status.FAILED, Status.RELEASED}),
    Status.SETTLED: frozenset({Status.RETURNED}),
    Status.FAILED: frozenset(),
    Status.RELEASED: frozenset(),
    Status.RETURNED: frozenset(),
}
_PASSED: dict[Status, frozenset[Status]] = {
    Status.RETURNED: frozenset({Status.SETTLED}),
}

OPERATOR = "operator"
"""The source of what a person decided."""


class Outcome(StrEnum):
    """What one report does to its trade."""

    APPLIED = "applied"
    REPEATED = "repeated"
    EARLY = "early"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider said of a trade."""

    trade_id: str
    status: Status
    source: str
    provider_event_id: str
    webhook_id: str
    network_transaction_id: str
    crypto_currency: str
    crypto_amount: str
    """Decimal string; empty when the report names no amount."""
    occurred_at: datetime
    request_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal move, with the report that caused it."""

    trade: Trade
    """The trade as of this move."""
    previous: Status
    report: Report


@dataclass(frozen=True, slots=True)
class Decision:
    """What a report does: the moves in order (two when an early `returned` was waiting), and why if it is refused."""

    outcome: Outcome
    transitions: tuple[Transition, ...] = ()
    reason: str = ""


def decide(trade: Trade, report: Report, *, early_return: Report | None, now: datetime) -> Decision:
    """What `report` does to `trade`; `early_return` is the `returned` that waits for `settled`, if one does.

    A report of the state the trade is in, or has already passed through, is a repeat. An off-ramp settles only for its
    own amount and currency; an on-ramp settles whatever the provider delivered, and the close compares the amounts.
    """
    status = report.status
    if status is trade.status or status in _PASSED.get(trade.status, ()):
        return Decision(Outcome.REPEATED)
    if status is Status.RETURNED and trade.status is Status.RESERVED:
        return Decision(Outcome.REPEATED if early_return is not None else Outcome.EARLY)
    if status not in LEGAL[trade.status]:
        return Decision(Outcome.REFUSED, reason="illegal_transition")
    if status is Status.SETTLED and trade.terms.side is Side.OFF_RAMP and not _same_amount(trade, report):
        return Decision(Outcome.REFUSED, reason="report_mismatch")
    moves = [_move(trade, report, now)]
    if status is Status.SETTLED and early_return is not None:
        moves.append(_move(moves[0].trade, early_return, now))
    return Decision(Outcome.APPLIED, transitions=tuple(moves))


def decide_all(
    trade: Trade, reports: Sequence[Report], *, early_return: Report | None, now: datetime
) -> list[Decision]:
    """Decides several reports of one trade in order, each on what the one before left."""
    decisions: list[Decision] = []
    for report in reports:
        decision = decide(trade, report, early_return=early_return, now=now)
        if decision.outcome is Outcome.EARLY:
            early_return = report
        if decision.transitions:
            trade = decision.transitions[-1].trade
        decisions.append(decision)
    return decisions


def release_by_operator(trade: Trade, *, request_id: str, traceparent: str, now: datetime) -> Transition | None:
    """The move of a trade that a person lets go; None where it has ended: only `reserved` becomes `released`.

    An early `returned` does not keep it: it said that money went back, and so does this.
    """
    decision = Report(
        trade_id=trade.trade_id,
        status=Status.RELEASED,
        source=OPERATOR,
        provider_event_id="",
        webhook_id="",
        network_transaction_id="",
        crypto_currency="",
        crypto_amount="",
        occurred_at=now,
        request_id=request_id,
        traceparent=traceparent,
    )
    return _move(trade, decision, now) if Status.RELEASED in LEGAL[trade.status] else None


def _move(trade: Trade, report: Report, now: datetime) -> Transition:
    return Transition(
        trade=replace(
            trade,
            status=report.status,
            updated_at=now,
            terminal_at=trade.terminal_at or now,
            network_transaction_id=report.network_transaction_id or trade.network_transaction_id,
            terminal_count=trade.terminal_count + 1,
        ),
        previous=trade.status,
        report=report,
    )


def _same_amount(trade: Trade, report: Report) -> bool:
    return (
        report.crypto_currency == trade.terms.crypto_currency
        and bool(report.crypto_amount)
        and Decimal(report.crypto_amount) == Decimal(trade.terms.crypto_amount)
    )
