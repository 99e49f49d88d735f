"""Owns voiding holds: afterwards none of the trade ids holds money, and none ever will."""

from collections.abc import Sequence
from typing import Final

from ledger.store.holds import Tombstone, void_holds
from poolkit.database import Contended, Database

TRIES_MAX: Final = 10


async def void_all(database: Database, tombstones: Sequence[Tombstone]) -> list[bool]:
    """Ends the open holds and leaves tombstones; answers in order whether a hold ended now.

    Safe to repeat, and before the hold has arrived. A consumed hold stays consumed. Raises Unavailable.
    """
    waiting = {tombstone.trade_id: tombstone for tombstone in tombstones}
    voided: dict[str, bool] = {}
    for _ in range(TRIES_MAX):
        voided |= await void_holds(database, [waiting[trade_id] for trade_id in sorted(waiting)])
        waiting = {trade_id: tombstone for trade_id, tombstone in waiting.items() if trade_id not in voided}
        if not waiting:
            return [voided[tombstone.trade_id] for tombstone in tombstones]
    raise Contended
