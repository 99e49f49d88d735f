"""The use case of undoing consumptions: inventory moves back once, and a tombstone refuses what may still arrive."""

from collections.abc import Sequence
from typing import Final

from poolkit import crashpoints
from poolkit.database import Database
from poolkit.errors import Unavailable
from quote.app.contention import TRIES_MAX, when_contended_again
from quote.app.measures import GIVEN_BACK
from quote.store import consumptions
from quote.store.consumptions import Attempt

AFTER_GIVING_BACK: Final = crashpoints.declare(
    "quote.given_back", "The consumptions are undone, and the caller does not know it."
)


async def give_back_quotes(database: Database, attempts: Sequence[Attempt]) -> list[bool | Unavailable]:
    """Undoes each trade id's consumption, in order; answers whether inventory moved now. Safe to repeat.

    Where there is nothing to undo a tombstone is left. Both are single transactions that meet a consumption under way
    at the primary key of its trade id, so one of the two sees the other; who met one goes another round.
    """
    moved: dict[str, bool] = {}
    waiting = {attempt.trade_id: attempt for attempt in reversed(attempts)}
    for _ in range(TRIES_MAX):
        if not waiting:
            break
        moved |= await _give_back(database, list(waiting.values()))
        waiting = {trade_id: attempt for trade_id, attempt in waiting.items() if trade_id not in moved}
    crashpoints.reach(AFTER_GIVING_BACK)
    told: set[str] = set()
    results: list[bool | Unavailable] = []
    for attempt in attempts:
        answer = moved.get(attempt.trade_id)
        results.append(Unavailable() if answer is None else answer and attempt.trade_id not in told)
        told.add(attempt.trade_id)
    return results


async def _give_back(database: Database, attempts: Sequence[Attempt]) -> dict[str, bool]:
    undone = await when_contended_again(lambda: consumptions.give_back(database, attempts))
    GIVEN_BACK.inc(len(undone))
    rest = [attempt for attempt in attempts if attempt.trade_id not in undone]
    moved = dict.fromkeys(undone, True)
    if rest:
        buried = await when_contended_again(lambda: consumptions.bury(database, rest))
        moved |= dict.fromkeys(buried, False)
    return moved
