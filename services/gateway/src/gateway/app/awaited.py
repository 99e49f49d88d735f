"""What a journey still waits for: what its rows say themselves, and events of a trade that a consumer has not taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.app.journey import AwaitedStep, Journey, JourneyRecord
from gateway.domain.records import Moment
from poolkit.kafka import TRADE_TERMINAL

_CONSUMERS: Final = {
    "ledger": "the ledger's posting",
    "quote": "the inventory's change",
    "gateway": "the event, to tell the partner",
}
"""Whoever takes a trade's terminal events, and what that is for."""


@dataclass(frozen=True, slots=True)
class AwaitedLine:
    """Something that is still to come."""

    what: str
    since_time: Moment
    due_time: Moment | None
    service: str
    record_id: str


def awaited_lines(journey: Journey) -> Sequence[AwaitedLine]:
    """Longest awaited first."""
    lines = [_line(record, record.awaited) for record in journey.records if record.awaited.what]
    lines += _events_not_taken(journey)
    return sorted(lines, key=lambda line: (line.since_time.seconds, line.since_time.nanos))


def _line(record: JourneyRecord, awaited: AwaitedStep) -> AwaitedLine:
    due = awaited.due_time
    return AwaitedLine(
        awaited.what,
        awaited.since_time,
        due if due.seconds or due.nanos else None,
        record.service,
        record.record_id,
    )


def _events_not_taken(journey: Journey) -> list[AwaitedLine]:
    """A terminal event that its owner has on record and a consumer, which answered, has not."""
    taken = {(record.service, record.ids.get("event", "")) for record in journey.records if record.kind == "event"}
    silent = {*journey.missing_services, *journey.truncated_services}
    return [
        AwaitedLine(f"{what} ({told.facts.get('type', '')})", told.record_time, None, consumer, event_id)
        for told in journey.records
        if told.service == "trade" and told.facts.get("topic") == TRADE_TERMINAL
        if (event_id := told.ids.get("event", ""))
        for consumer, what in _CONSUMERS.items()
        if consumer not in silent and (consumer, event_id) not in taken
    ]
