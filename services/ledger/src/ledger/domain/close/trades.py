"""Owns judging a trade: whether its owner, the ledger and the provider agree about it, and what is wrong where not.

Pure functions of a group, so the same facts always give the same findings. Source: contract section 8.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ledger.domain.close.facts import RESERVED, Amount, LookedUp, Posted, ReportFact, TradeFact, TradeGroup, Transition
from ledger.domain.close.findings import HOLD, LEDGER, REPORT, TRADE, Finding, Ids, Sided, said_amount
from ledger.domain.close.kinds import Kind
from ledger.domain.events import FAILED, OFF_RAMP, RELEASED, RETURNED, SETTLED
from ledger.domain.identities import hold_id

POSTED_STATUSES = frozenset({SETTLED, RETURNED})
PARKED = "parked"
DEAD = "dead"


class Limits(NamedTuple):
    """What counts as too long, and as of when. All in milliseconds."""

    cut_ms: int
    """Up to when the close looks: the end of the date, or the time of the run."""
    reserved_ms_max: int
    waiting_ms_max: int
    """How long a report or an event may wait before it is an exception; 0 for a date that has ended."""

    def is_waiting_fairly(self, since_ms: int) -> bool:
        """Whether what waits since then may still wait a while."""
        return self.waiting_ms_max > 0 and self.cut_ms - since_ms < self.waiting_ms_max


def missing_postings(group: TradeGroup) -> list[str]:
    """The event ids of transitions that no posting of the date follows from: to be looked up in the inbox."""
    if group.ended is None:
        return []
    posted = {posting.event_id for posting in group.postings}
    return [move.event_id for move in group.ended.transitions if move.event_id not in posted]


def judge_trade(group: TradeGroup, known: LookedUp, limits: Limits) -> list[Finding]:
    """Everything that is wrong about one trade, each once."""
    trade = group.ended
    findings: list[Finding] = []
    if trade is not None:
        findings += _transitions(trade, group, known, limits)
        hold = known.holds.get(trade.trade_id)
        if hold is not None:
            findings.append(
                Finding(
                    Kind.HOLD_OPEN_ON_TERMINAL_TRADE,
                    _ids(trade)._replace(hold_id=hold_id(trade.trade_id)),
                    f"The trade is {trade.status}, and its hold of {said_amount(hold.amount)} is open still.",
                    (Sided(TRADE, "fiat", trade.fiat), Sided(HOLD, "fiat", hold.amount)),
                    trade.transitions[0].at_ms,
                )
            )
    findings += _unexplained_postings(group, known)
    if trade is None and group.open is not None:
        findings += _open(group.open, limits)
    findings += _reports(group, limits)
    findings += [
        Finding(
            Kind.SETTLED_WITHOUT_HOLD,
            _ids(trade or group.open, group.trade_id)._replace(
                organization_id=note.organization_id, event_id=note.event_id
            ),
            "The trade settled and was posted, and no hold was open for it.",
            (Sided(TRADE, "fiat", trade.fiat if trade else None), Sided(HOLD, "fiat", None)),
            note.occurred_ms,
        )
        for note in group.notes
    ]
    return findings


def _transitions(trade: TradeFact, group: TradeGroup, known: LookedUp, limits: Limits) -> Iterator[Finding]:
    postings = {posting.event_id: posting for posting in group.postings}
    reports = {report.webhook_id: report for report in group.reports}
    for move in trade.transitions:
        ids = _ids(trade)._replace(
            event_id=move.event_id,
            webhook_id=move.webhook_id,
            source=move.source,
            provider_event_id=move.provider_event_id,
        )
        if move.status == RETURNED and move.number != 2:
            yield Finding(
                Kind.RETURNED_WITHOUT_SETTLED,
                ids,
                "The trade is returned, and it never settled.",
                (Sided(TRADE, "crypto", trade.crypto),),
                move.at_ms,
            )
        posting = postings.get(move.event_id)
        if posting is None:
            yield from _without_posting(trade, move, ids, known, limits)
        posted = known.posted.get(posting.number) if posting else None
        transaction_id = posting.transaction_id if posting else ""
        yield from _amounts(
            trade, move, posted, reports.get(move.webhook_id), ids._replace(ledger_transaction_id=transaction_id)
        )


def _without_posting(
    trade: TradeFact, move: Transition, ids: Ids, known: LookedUp, limits: Limits
) -> Iterator[Finding]:
    event = known.events.get(move.event_id)
    amounts = (Sided(TRADE, "fiat", trade.fiat), Sided(TRADE, "crypto", trade.crypto), Sided(LEDGER, "fiat", None))
    if event is not None and event.state in {PARKED, DEAD}:
        if event.state == DEAD or not limits.is_waiting_fairly(event.received_ms):
            yield Finding(Kind.EVENT_NOT_PROCESSED, ids, _why_unapplied(event.state, event.why), amounts, move.at_ms)
    elif event is None:
        why = f"The trade is {move.status}, and the ledger has not received the event."
        yield Finding(Kind.TERMINAL_TRADE_WITHOUT_POSTING, ids, why, amounts, move.at_ms)
    elif move.status in POSTED_STATUSES:
        why = f"The trade is {move.status}, and the ledger has the event but no transaction of it."
        yield Finding(Kind.TERMINAL_TRADE_WITHOUT_POSTING, ids, why, amounts, move.at_ms)


def _why_unapplied(state: str, why: str) -> str:
    if state == PARKED:
        return "The ledger keeps the event parked: the one it must follow has not come."
    return f"The ledger could not apply the event: {why or 'it was given up'}"


def _amounts(
    trade: TradeFact, move: Transition, posted: Posted | None, report: ReportFact | None, ids: Ids
) -> Iterator[Finding]:
    """One finding where trade, ledger and report are not of one mind; a side that has no amount has no say."""
    if move.status not in POSTED_STATUSES:
        return
    reported = report.crypto if report is not None and report.crypto is not None else move.reported
    told = reported if move.status == SETTLED else None
    amounts = [
        Sided(TRADE, "fiat", trade.fiat),
        Sided(TRADE, "fee", trade.fee),
        Sided(TRADE, "crypto", trade.crypto),
    ]
    wrong = []
    if posted is not None:
        wrong += [
            name
            for name, own, expected in zip(Posted._fields, posted, expected_legs(trade, move.status), strict=True)
            if (own or Amount(0, expected.currency)) != expected
        ]
        amounts += [Sided(LEDGER, name, own) for name, own in zip(Posted._fields, posted, strict=True)]
    if told is not None:
        amounts.append(Sided(REPORT, "crypto", told))
        if told != trade.crypto:
            wrong.append("the reported crypto")
        if move.reported is not None and move.reported != told:
            wrong.append("what trade noted of the report")
            amounts.append(Sided(TRADE, "reported crypto", move.reported))
    if wrong:
        why = f"Trade, ledger and report of the {move.status} trade differ about {' and '.join(wrong)}."
        yield Finding(Kind.AMOUNT_MISMATCH, ids, why, tuple(amounts), move.at_ms)


def expected_legs(trade: TradeFact, status: str) -> tuple[Amount, Amount, Amount]:
    """What the ledger must have posted to partner, fees and inventory: a buy as seen from us, all else mirrored.

    Source: contract section 8's worked example.
    """
    back = -1 if status == RETURNED else 1
    sold = -1 if trade.side == OFF_RAMP else 1
    return (
        Amount(-back * sold * trade.fiat.units, trade.fiat.currency),
        Amount(back * trade.fee.units, trade.fee.currency),
        Amount(back * sold * trade.crypto.units, trade.crypto.currency),
    )


def _unexplained_postings(group: TradeGroup, known: LookedUp) -> Iterator[Finding]:
    moves = group.ended.transitions if group.ended else ()
    explained = {move.event_id for move in moves if move.status in POSTED_STATUSES}
    trade = group.ended or group.open
    for posting in group.postings:
        if posting.event_id not in explained:
            posted = known.posted.get(posting.number)
            status = trade.status if trade else ""
            why = f"trade says it is {status}" if status else "trade tells of no such trade on the date"
            yield Finding(
                Kind.POSTING_WITHOUT_TERMINAL_TRADE,
                _ids(trade, group.trade_id)._replace(
                    organization_id=posting.organization_id,
                    quote_id=posting.quote_id,
                    event_id=posting.event_id,
                    ledger_transaction_id=posting.transaction_id,
                    request_id=posting.request_id,
                    client_reference=posting.client_reference,
                ),
                f"The ledger posted for the trade, and {why}.",
                (
                    Sided(LEDGER, "fiat", posted.fiat if posted else None),
                    Sided(LEDGER, "crypto", posted.crypto if posted else None),
                    Sided(TRADE, "fiat", trade.fiat if trade else None),
                ),
                posting.occurred_ms,
            )


def _open(trade: TradeFact, limits: Limits) -> Iterator[Finding]:
    if trade.reserved_ms < limits.cut_ms - limits.reserved_ms_max:
        minutes = limits.reserved_ms_max // 60_000
        yield Finding(
            Kind.RESERVED_TOO_LONG,
            _ids(trade),
            f"The trade has been reserved for more than {minutes} minutes, and nobody has reported how it ended.",
            (Sided(TRADE, "crypto", trade.crypto), Sided(TRADE, "fiat", trade.fiat)),
            trade.reserved_ms,
        )


def _reports(group: TradeGroup, limits: Limits) -> Iterator[Finding]:
    trade = group.ended or group.open
    used = {move.webhook_id for move in group.ended.transitions} if group.ended else set()
    for report in group.reports:
        processing = report.processing
        ids = _ids(trade, group.trade_id)._replace(
            webhook_id=report.webhook_id,
            source=report.source,
            provider_event_id=report.provider_event_id,
            request_id=processing.request_id,
        )
        amounts = (Sided(REPORT, "crypto", report.crypto), Sided(TRADE, "crypto", trade.crypto if trade else None))
        judged = _report(report, trade, limits)
        if judged is None and report.webhook_id not in used:
            judged = _other_amount(report, trade)
        if judged is not None:
            yield Finding(judged[0], ids, judged[1], amounts, processing.received_ms)


def _report(report: ReportFact, trade: TradeFact | None, limits: Limits) -> tuple[Kind, str] | None:
    processing = report.processing
    if processing.state == "conflict":
        return Kind.EVENT_ID_REUSED, f"The provider's event id came again with other fields: {processing.detail}"
    if processing.state in {"received", "exception"}:
        if processing.state == "received" and limits.is_waiting_fairly(processing.received_ms):
            return None
        if trade is not None and trade.status == RESERVED and (mismatch := _other_amount(report, trade)):
            return mismatch
        why = "is waiting still" if processing.state == "received" else "was given up"
        return Kind.EVENT_NOT_PROCESSED, f"The report of {report.status} {why}: {processing.detail or 'no try yet'}"
    if processing.effect == "early" and trade is not None and trade.status in {RESERVED, FAILED, RELEASED}:
        return Kind.RETURNED_WITHOUT_SETTLED, f"The provider reported a return, and the trade is {trade.status}."
    return None


def _other_amount(report: ReportFact, trade: TradeFact | None) -> tuple[Kind, str] | None:
    if report.status != SETTLED or report.crypto is None or trade is None or report.crypto == trade.crypto:
        return None
    return Kind.AMOUNT_MISMATCH, (
        f"The provider reported {said_amount(report.crypto)}, and the trade is of {said_amount(trade.crypto)}."
    )


def _ids(trade: TradeFact | None, trade_id: str = "") -> Ids:
    if trade is None:
        return Ids(trade_id=trade_id)
    return Ids(
        organization_id=trade.organization_id,
        trade_id=trade.trade_id,
        quote_id=trade.quote_id,
        pool_id=trade.pool_id,
        request_id=trade.request_id,
        client_reference=trade.client_reference,
    )
