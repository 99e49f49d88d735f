"""The use case of following trades to their end: committed inventory is drawn or freed, once for each event."""

from collections.abc import Sequence
from typing import Final

from poolkit import crashpoints
from poolkit.database import Database
from quote.app.contention import when_contended_again
from quote.app.measures import TERMINAL_EVENTS
from quote.domain.inventory import Change, change_of
from quote.domain.quotes import Outcome
from quote.store import terminal_events
from quote.store.terminal_events import ConsumedTerms, TerminalEvent

AFTER_APPLYING: Final = crashpoints.declare(
    "quote.terminal_events_applied", "Inventory has followed the events, and their offsets are not committed."
)


class InapplicableEventError(Exception):
    """This event can never be applied: `reason` says why, in one word for a metric."""

    def __init__(self, reason: str, event: TerminalEvent) -> None:
        super().__init__(f"{reason}: event {event.event_id} of trade {event.trade_id}")
        self.reason = reason


async def apply_terminal_events(database: Database, events: Sequence[TerminalEvent]) -> None:
    """Applies the events that are new, all in one transaction. Safe to repeat, in any order.

    `returned` before its `settled` needs no waiting: what each event adds depends on the trade's locked terms alone,
    and sums do not mind their order (domain.inventory.change_of). Raises InapplicableEventError for an event of a trade
    that consumed nothing, or of one that has ended otherwise; then nothing is applied.
    """
    unique = list({event.event_id: event for event in events}.values())
    applied = await when_contended_again(lambda: _apply(database, unique))
    for event in unique:
        if event.event_id in applied:
            TERMINAL_EVENTS.labels(event.ending.value).inc()
    crashpoints.reach(AFTER_APPLYING)


async def _apply(database: Database, events: Sequence[TerminalEvent]) -> set[str]:
    async with database.transaction() as unit:
        terms = await terminal_events.lock_terms(unit, {event.trade_id for event in events})
        changes = [_change(event, terms.get(event.trade_id)) for event in events]
        applied = await terminal_events.apply(unit, changes)
        rest = {event.event_id: event for event in events if event.event_id not in applied}
        if rest:
            unknown = rest.keys() - await terminal_events.known(unit, rest.keys())
            for event_id in unknown:
                # Its number is taken by another event of the trade.
                raise InapplicableEventError("contradicts_earlier_event", rest[event_id])
        await unit.commit()
    return applied


def _change(event: TerminalEvent, terms: ConsumedTerms | None) -> tuple[TerminalEvent, ConsumedTerms, Change]:
    if terms is None or terms.outcome is not Outcome.CONSUMED:
        raise InapplicableEventError("consumed_nothing", event)
    change = change_of(event.ending, terms.side, crypto=terms.crypto_amount, fiat=terms.fiat_amount)
    return event, terms, change
