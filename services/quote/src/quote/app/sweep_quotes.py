"""The use case of letting quotes expire: what they held is freed soon after their time, by one replica."""

import asyncio
from typing import Final

from poolkit.database import Database
from quote.app.contention import when_contended_again
from quote.app.measures import QUOTES_EXPIRED
from quote.store import holds

RELEASED_AT_ONCE_MAX: Final = 1_000


async def sweep_quotes(database: Database) -> int:
    """Frees the inventory of expired quotes in batches until none is left; answers how many there were.

    Deciding a quote and releasing it both delete the row of its hold, so only one of them can.
    """
    released = 0
    while True:
        batch = await when_contended_again(lambda: holds.release_expired(database, RELEASED_AT_ONCE_MAX))
        released += batch
        QUOTES_EXPIRED.inc(batch)
        if batch < RELEASED_AT_ONCE_MAX:
            return released


async def sweep_forever(database: Database, interval_seconds: float) -> None:
    """Sweeps until cancelled; run it under a lease."""
    while True:
        await sweep_quotes(database)
        await asyncio.sleep(interval_seconds)
