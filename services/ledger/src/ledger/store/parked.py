"""Owns reading the events that wait for another. The index of parked events holds nothing else, so there are few."""

from datetime import datetime
from typing import Final, NamedTuple

from ledger.store.events import StoredEvent, stored_event
from poolkit.database import Database

_PARKED: Final = """
SELECT event_id, topic, type, payload, request_id, traceparent, partition, "offset", organization_id, awaits,
       received_at
FROM inbox WHERE state = 'parked' AND event_id > $1 ORDER BY event_id LIMIT $2
"""


class ParkedEvent(NamedTuple):
    """An event that was stored and not applied."""

    stored: StoredEvent
    organization_id: str
    awaits: str
    received_at: datetime


async def list_parked(database: Database, *, after: str, limit: int) -> list[ParkedEvent]:
    """Parked events by id, behind one."""
    rows = await database.fetch(_PARKED, after, limit)
    return [ParkedEvent(stored_event(row), row["organization_id"], row["awaits"], row["received_at"]) for row in rows]
