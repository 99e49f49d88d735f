"""Owns what on-call is told of closes: how far they have come, and what stands in the newest. Contract section 10."""

import asyncio
import contextlib
from typing import Final

from prometheus_client import Gauge

from ledger.domain.close.kinds import Kind
from ledger.store.close import newest
from poolkit.database import Database
from poolkit.errors import Unavailable

MEASURE_SECONDS: Final = 15.0

_MISMATCHES: Final = Gauge(
    "pools_ledger_mismatches",
    "Exceptions in the close of the newest date, or of one closed anew within a day",
    ["kind"],
)
_CLOSED: Final = Gauge(
    "pools_ledger_closed_date_seconds", "The newest date that is closed, as the Unix time of its end"
)


async def measure_forever(database: Database) -> None:
    """Keeps both true in every replica, whoever closes, until cancelled."""
    while True:
        # Out of reach, what is known stays; readiness tells of it.
        with contextlib.suppress(Unavailable):
            await measure(database)
        await asyncio.sleep(MEASURE_SECONDS)


async def measure(database: Database) -> None:
    """Asks now, and sets the metrics."""
    found = await newest.exceptions_by_kind(database)
    for kind in Kind:
        _MISMATCHES.labels(kind).set(found.get(kind, 0))
    _CLOSED.set((await newest.closed_until(database)).timestamp())
