"""Owns what becomes of an event that cannot be applied: its bytes are kept, and a person is told."""

from prometheus_client import Counter

from ledger.store import events as store
from ledger.store.events import Exceptional, StoredEvent
from poolkit.database import Database

_BURIED = Counter("pools_ledger_buried_events", "Events that could not be applied", ["kind"])


async def bury_event(database: Database, event: StoredEvent, organization_id: str, why: str) -> None:
    """Keeps the event as dead, or, where its id belongs to other bytes, beside them. Safe to repeat.

    A dead event that comes again, replayed after the fix, is applied like a new one.
    """
    async with database.transaction() as unit:
        await store.bury(unit, event, organization_id)
        payload, state = (await store.find_stored(unit, [event.event_id]))[event.event_id]
        if payload == event.payload and state != "dead":
            # Applied meanwhile by another replica.
            return
        kind = "dead_letter" if payload == event.payload else "event_id_reused"
        await store.note(unit, [Exceptional(kind, event.event_id, "", organization_id, why, event.payload)])
        await unit.commit()
    _BURIED.labels(kind).inc()
