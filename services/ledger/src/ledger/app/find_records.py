"""Owns answering support: every row of the ledger that belongs to some ids of any kind, in time order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ledger.domain.events import FAILED, RELEASED, RETURNED, SETTLED, TRADE_EVENT_TYPE
from ledger.domain.identities import TRADE, trade_of_hold, transaction_of_entry
from ledger.store import journey
from poolkit.database import Database
from poolkit.ids import event_id
from poolkit.journey import JourneyRow

_ENDING = {"consumed": (SETTLED,), "voided": (FAILED, RELEASED)}
"""By the state a hold ends in, the statuses whose event may have ended it."""
_TRADE_EVENTS = tuple(TRADE_EVENT_TYPE + status for status in (SETTLED, FAILED, RELEASED, RETURNED))


async def find_records(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Oldest first. An entry brings its whole transaction, and whatever is found brings the events behind it."""
    wanted = set(ids) | {trade_of_hold(id_) for id_ in ids}
    wanted |= {found[0] for id_ in ids if (found := transaction_of_entry(id_))}
    wanted.discard("")
    holds, entries = await asyncio.gather(
        journey.find_holds(database, sorted(wanted), limit), journey.find_transactions(database, sorted(wanted), limit)
    )
    rows = [*holds, *entries]

    trades = {row.ids["trade"] for row in rows} | {id_ for id_ in wanted if id_.startswith(TRADE)}
    trades.discard("")
    # A trade's events are found by their ids, which follow from the trade's: also those that posted nothing.
    event_ids = {event_id(trade, type_) for trade in trades for type_ in _TRADE_EVENTS}
    event_ids |= {row.ids.get("event", "") for row in rows} | wanted
    events, exceptions, found_by_closes = await asyncio.gather(
        journey.find_events(database, sorted(event_ids), limit),
        journey.find_exceptions(database, sorted(event_ids | trades), limit),
        journey.find_close_exceptions(database, sorted(event_ids | trades), limit),
    )
    told = {row.record_id: row for row in events}
    rows = [_with_cause(row, told) for row in rows]
    # What one transaction wrote has one time: the event goes before what follows from it.
    return sorted([*events, *rows, *exceptions, *found_by_closes], key=lambda row: row.recorded_at)[:limit]


def _with_cause(row: JourneyRow, events: Mapping[str, JourneyRow]) -> JourneyRow:
    """The end of a hold with the event that ended it, which its transaction applied; an undone one has none."""
    for status in _ENDING.get(row.entered_state, ()):
        event = events.get(event_id(row.ids["trade"], TRADE_EVENT_TYPE + status))
        if event is not None and event.facts["applied_at"] == row.recorded_at.isoformat():
            ids = {**row.ids, "event": event.record_id, "cause_request": event.ids["request"]}
            return replace(row, traceparent=event.traceparent, ids=ids)
    return row
