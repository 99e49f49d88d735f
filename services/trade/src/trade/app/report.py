"""Owns applying settlement reports: legal moves, each with its transition and its event in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolkit.crashpoints import reach
from poolkit.database import Database
from poolkit.outbox import Row, append
from poolkit.relay import Relay
from trade.app import measures, steps
from trade.app.ports import Events
from trade.domain.lifecycle import Decision, Outcome, Report, decide_all
from trade.domain.trade import Trade
from trade.store import reports as report_store
from trade.store import trades


@dataclass(frozen=True, slots=True)
class Applied:
    """What one report did, and the trade after the whole batch."""

    decision: Decision
    trade: Trade


class ReportSettlements:
    """The use case behind `TradeService.ReportSettlements`. One call is one transaction."""

    def __init__(self, database: Database, relay: Relay, events: Events) -> None:
        self._database = database
        self._relay = relay
        self._events = events

    async def __call__(self, reports: Sequence[Report]) -> list[Applied | None]:
        """Applies each report in order; None where the trade is unknown, which the reporter keeps and retries."""
        async with self._database.transaction() as unit:
            locked = await trades.lock(unit, [report.trade_id for report in reports])
            early = await report_store.find_early(unit, list(locked))
            decisions: dict[int, Decision] = {}
            for trade_id, held in locked.items():
                indexes = [index for index, report in enumerate(reports) if report.trade_id == trade_id]
                decided = decide_all(
                    held.trade, [reports[index] for index in indexes], early_return=early.get(trade_id), now=held.now
                )
                decisions.update(zip(indexes, decided, strict=True))
            transitions = [move for index in sorted(decisions) for move in decisions[index].transitions]
            kept = [
                (reports[index], str(decision.outcome), decision.reason)
                for index, decision in sorted(decisions.items())
                if decision.outcome in (Outcome.EARLY, Outcome.REFUSED)
            ]
            told: list[Row] = []
            if transitions:
                await trades.write_transitions(unit, transitions)
                terminal = [self._events.terminal(transition) for transition in transitions]
                told = await append(unit, terminal, notify=not self._relay.takes_over)
            if kept:
                await report_store.keep(unit, kept)
            await unit.commit()
        self._relay.hand_over(told)
        measures.count_transitions(transitions, by="report")
        reach(steps.AFTER_REPORT)
        latest = {trade_id: held.trade for trade_id, held in locked.items()}
        latest.update((transition.trade.trade_id, transition.trade) for transition in transitions)
        return [
            Applied(decisions[index], latest[report.trade_id]) if index in decisions else None
            for index, report in enumerate(reports)
        ]
