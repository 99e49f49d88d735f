"""Owns waiting until everything up to a cut is published by its owners and taken in by the ledger.

Source: contract section 8. What comes later all the same keeps its date and causes another revision.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from ledger.app.close.ports import Owners, Progress, Tell
from poolkit.errors import DeadlineExceeded, Unavailable

PAUSE_SECONDS: Final = 0.2


class Cutoff:
    """One instant up to which everything counts, on one business date."""

    def __init__(self, owners: Owners, progress: Progress, business_date: date, cut_at: datetime, *, over: bool):
        self._owners = owners
        self._progress = progress
        self._business_date = business_date
        self._cut_at = cut_at
        self._over = over
        """Whether the date has ended, so that transactions begun before its end can be told from others."""
        self._ends: Mapping[object, int] | None = None

    async def wait(self, seconds_max: float, tell: Tell) -> None:
        """Returns when nothing is missing. Raises Unavailable, saying what it waited for, when time is up."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds_max
        said = ""
        while True:
            try:
                missing = await self._missing()
            except (Unavailable, DeadlineExceeded) as error:
                # Whoever is out of reach may be back before time is up.
                missing = error.message
            if not missing:
                return
            if clock() > until:
                raise Unavailable(f"The close of {self._business_date} waited {seconds_max:.0f} s in vain: {missing}")
            if missing != said:
                tell(f"The close of {self._business_date} waits: {missing}")
                said = missing
            await asyncio.sleep(PAUSE_SECONDS)

    async def _missing(self) -> str:
        """What is still to come, as a sentence; empty when nothing is."""
        for published in await self._owners.published(self._business_date):
            oldest_at = published.oldest_at
            if published.unpublished and (self._over or oldest_at is None or oldest_at < self._cut_at):
                return f"{published.owner} has {published.unpublished} events up to that date still to publish."
            if self._over and published.open_transactions:
                return (
                    f"{published.owner} has {published.open_transactions} transactions open that began on that date "
                    "or before."
                )
        if self._ends is None:
            # Only now: what is published from here on is of a later date, or late.
            self._ends = await self._progress.ends()
        behind = await self._progress.behind(self._ends)
        return f"{behind} published events have not been taken in by the ledger." if behind else ""
