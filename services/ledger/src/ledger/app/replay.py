"""Owns replaying the stored events, in their stored order, into an empty ledger: it rebuilds the books and proves them.

Within the stored order a batch may hold any run of events but those that once waited for another: such an event was
applied after the batch that released it, so it stands alone here too.
"""

from collections.abc import AsyncIterator
from typing import Final

from ledger.app.apply_events import ApplyEvents, Decode
from ledger.domain.events import Event
from ledger.store.events import read_applied
from poolkit.database import Database

BATCH_EVENTS: Final = 500


async def replay(source: Database, apply: ApplyEvents, decode: Decode) -> int:
    """Applies every event that `source` has applied; answers how many. `apply` writes to another, empty ledger."""
    count = 0
    async for batch in _batches(source, decode):
        await apply(batch)
        count += len(batch)
    return count


async def _batches(source: Database, decode: Decode) -> AsyncIterator[list[Event]]:
    batch: list[Event] = []
    after = 0
    while rows := await read_applied(source, after_sequence=after, limit=BATCH_EVENTS):
        for sequence, stored in rows:
            after = sequence
            event = decode(stored)
            if event.awaits and batch:
                yield batch
                batch = []
            batch.append(event)
            if event.awaits or len(batch) == BATCH_EVENTS:
                yield batch
                batch = []
    if batch:
        yield batch
