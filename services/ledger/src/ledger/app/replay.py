"""Owns replaying the stored events, in their stored order, into an empty ledger: it rebuilds the books and proves them.

Within the stored order a batch may hold any run of events but those that once waited for another: such an event was
applied after the batch that released it, so it stands alone here too.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from ledger.app.apply_events import ApplyEvents, Decode
from ledger.domain.events import Event
from ledger.store.events import StoredEvent, read_applied
from poolkit.database import Database
from poolkit.errors import DomainError, Unavailable

BATCH_EVENTS: Final = 500
SEQUENCE_MAX: Final = 2**63 - 1

_PASSING: Final = (Unavailable, OSError)

Told = Callable[[int], None]
"""Is told how many events have been replayed so far."""
Refuse = Callable[["Refused"], None]
"""Is told of each event that cannot be applied: of broken books that may be every one, so nothing here keeps them."""


class Refused(NamedTuple):
    """An event that was applied once and cannot be any more."""

    sequence: int
    event_id: str
    why: str


async def replay(
    source: Database,
    apply: ApplyEvents,
    decode: Decode,
    *,
    refuse: Refuse,
    through_sequence: int = SEQUENCE_MAX,
    told: Told = lambda _: None,
) -> int:
    """Applies every event that `source` has applied, to a sequence; answers how many. `apply` writes to another, empty
    ledger.

    What cannot be applied is left out and named; it goes on, so that all that differs for it is found.
    """
    count = 0
    async for batch in _batches(source, decode, through_sequence, refuse):
        try:
            await apply([event for _, event in batch])
        except _PASSING:
            raise
        except Exception:
            # Bytes that someone changed may fail in any way, alone or in company.
            for sequence, event in batch:
                await _alone(apply, sequence, event, refuse)
        count += len(batch)
        told(count)
    return count


async def _alone(apply: ApplyEvents, sequence: int, event: Event, refuse: Refuse) -> None:
    try:
        await apply([event])
    except _PASSING:
        raise
    except Exception as error:
        refuse(Refused(sequence, event.event_id, str(error) or type(error).__name__))


async def _batches(
    source: Database, decode: Decode, through_sequence: int, refuse: Refuse
) -> AsyncIterator[list[tuple[int, Event]]]:
    batch: list[tuple[int, Event]] = []
    async for sequence, stored in _stored(source, through_sequence):
        try:
            event = decode(stored)
        except DomainError as error:
            refuse(Refused(sequence, stored.event_id, str(error)))
            continue
        if event.awaits and batch:
            yield batch
            batch = []
        batch.append((sequence, event))
        if event.awaits or len(batch) == BATCH_EVENTS:
            yield batch
            batch = []
    if batch:
        yield batch


async def _stored(source: Database, through_sequence: int) -> AsyncIterator[tuple[int, StoredEvent]]:
    """Reads a page ahead: while one is applied, the database looks the next one up."""
    reading = asyncio.create_task(read_applied(source, after_sequence=0, limit=BATCH_EVENTS))
    try:
        while rows := await reading:
            reading = asyncio.create_task(read_applied(source, after_sequence=rows[-1][0], limit=BATCH_EVENTS))
            for sequence, stored in rows:
                if sequence > through_sequence:
                    return
                yield sequence, stored
    finally:
        reading.cancel()
        await asyncio.wait({reading})
