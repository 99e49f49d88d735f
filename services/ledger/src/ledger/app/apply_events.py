"""Owns applying events: a batch is one transaction, in which each event takes effect, or is found to have done so."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ledger.app.account_directory import AccountDirectory
from ledger.app.batch import Batch
from ledger.domain.amounts import minor_units
from ledger.domain.events import Event
from ledger.domain.holds import CONSUMED
from ledger.domain.pages import Page
from ledger.store import events as store
from ledger.store.events import Exceptional, Locked, StoredEvent
from ledger.store.holds import Tombstone, leave_tombstones
from ledger.store.pages import move_system_accounts, write_page
from poolkit.crashpoints import declare, reach
from poolkit.database import Database, Unit
from poolkit.errors import EventConflict

TAKEN_IN: Final = declare("ledger.apply.taken_in", "events stored and rows locked, nothing posted or committed")
WRITTEN: Final = declare("ledger.apply.written", "everything posted, nothing committed")
COMMITTED: Final = declare("ledger.apply.committed", "everything committed, the offsets not")

Decode = Callable[[StoredEvent], Event]
"""Reads a stored event as it was read when it came."""

Sequenced = list[tuple[int, Event]]
"""Events with their place in the stored order, in that order."""


class _Uncovered(Exception):
    """Released events move rows that are not locked, and to lock them now would be out of order."""

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__()
        self.events = events


class ApplyEvents:
    """Applies batches of events in the order given, all or nothing, at most once for each event id.

    Any number of replicas may apply at once, also the same events. Raises EventConflict where an id comes again with
    other bytes, InvalidRequest where an event cannot be posted, Unavailable where trying again may help; in each case
    nothing of the batch has happened. Source: architecture section 4.
    """

    def __init__(self, database: Database, directory: AccountDirectory, decode: Decode) -> None:
        self._database = database
        self._directory = directory
        self._decode = decode

    async def __call__(self, events: Iterable[Event]) -> None:
        """Apply what is new, park what must wait, release what waited for it."""
        batch = Batch(events)
        while batch.events:
            await self._directory.ensure_accounts(batch.accounts.values())
            await self._directory.ensure_chains(batch.organization_ids)
            try:
                await self._apply(batch)
            except _Uncovered as uncovered:
                for event in uncovered.events:
                    batch.cover(event)
            else:
                break
        reach(COMMITTED)

    async def _apply(self, batch: Batch) -> None:
        ids = self._directory.ids
        partners = {ids[account.name]: account for account in batch.partner_accounts()}
        async with self._database.transaction() as unit:
            taking_in = asyncio.create_task(
                store.take_in(unit, sorted(batch.organization_ids), sorted(partners), list(batch.events.values()))
            )
            try:
                # The database has a core of its own: while it locks and stores, this one hashes.
                await batch.draft()
            finally:
                locked = await taking_in
            new = await _new(unit, batch, locked)
            if not new:
                return
            reach(TAKEN_IN)
            balances = {id_: minor_units(text, partners[id_].currency) for id_, text in locked.balances.items()}

            first = Page(ids, locked.heads, balances)
            applied = sorted([(sequence, event_id) for event_id, sequence in new.items() if sequence is not None])
            awaited = await _write(unit, batch, first, [(number, batch.events[id_]) for number, id_ in applied])

            second = Page(ids, locked.heads, balances)
            waiting = [event_id for event_id, sequence in new.items() if sequence is None]
            if awaited or waiting:
                released = await self._release(unit, batch, waiting, [event_id for _, event_id in applied])
                await _write(unit, batch, second, released)

            await move_system_accounts(unit, [first, second])
            reach(WRITTEN)
            await unit.commit()

    async def _release(self, unit: Unit, batch: Batch, waiting: list[str], applied: list[str]) -> Sequenced:
        """The events that may be applied now: those of the batch that waited in vain, and those that waited for it."""
        rows = await store.release(unit, waiting, applied)
        released = [(sequence, self._decode(stored)) for sequence, stored in rows]
        uncovered = [event for _, event in released if not batch.covers(event)]
        if uncovered:
            raise _Uncovered(uncovered)
        return released


async def _new(unit: Unit, batch: Batch, locked: Locked) -> dict[str, int | None]:
    """The sequences of the events that were not taken in before; None for one that waits. Others are left alone."""
    known = [event_id for event_id in batch.events if event_id not in locked.sequences]
    if not known:
        return locked.sequences
    stored = await store.find_stored(unit, known)
    buried = []
    for event_id in known:
        payload, state = stored[event_id]
        if payload != batch.events[event_id].payload:
            raise EventConflict(event_id=event_id)
        if state == "dead":
            buried.append(batch.events[event_id])
    return {**locked.sequences, **(await store.revive(unit, buried) if buried else {})}


async def _write(unit: Unit, batch: Batch, page: Page, events: Sequenced) -> bool:
    """Writes a page of events; answers whether parked events await any of them."""
    if not events:
        return False
    for sequence, event in events:
        page.add(event, batch.drafts(event.event_id, event), sequence)
    ended, awaited = await write_page(unit, page, [event.event_id for _, event in events])
    if len(ended) < len(page.endings):
        await _without_hold(unit, page, ended)
    return awaited


async def _without_hold(unit: Unit, page: Page, ended: set[str]) -> None:
    """Lets no late hold open on a trade that has ended, and notes each buy that settled without one."""
    missing = {trade_id: ending for trade_id, ending in page.endings.items() if trade_id not in ended}
    await leave_tombstones(
        unit,
        [
            Tombstone(trade_id, event.organization_id, event.request_id, event.traceparent)
            for trade_id, (event, _, _) in sorted(missing.items())
        ],
    )
    await store.note(
        unit,
        [
            Exceptional("settled_without_hold", event.event_id, trade_id, event.organization_id, "no open hold")
            for trade_id, (event, _, ending) in missing.items()
            if ending == CONSUMED
        ],
    )
