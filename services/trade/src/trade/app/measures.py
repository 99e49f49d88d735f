"""What this service counts, and how old the oldest reserved trade is. Source: contract section 10."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge

from poolkit.database import Database
from poolkit.errors import Unavailable
from trade.domain.lifecycle import Transition
from trade.store.trades import oldest_reserved_seconds

MEASURE_SECONDS: Final = 5.0

TERMINAL_TRANSITIONS: Final = Counter(
    "pools_trade_terminal_transitions", "Terminal transitions, by the status and by whether a person made them",
    ["status", "by"],
)  # fmt: skip
RESERVED_AGE: Final = Gauge(
    "pools_reserved_trade_age_seconds", "Age of the oldest trade that is still reserved; 0 when there is none"
)


def count_transitions(transitions: Iterable[Transition], *, by: str) -> None:
    """Counts moves that were committed, made by a `report` or by an `operator`."""
    for transition in transitions:
        TERMINAL_TRANSITIONS.labels(transition.trade.status.value, by).inc()


async def measure_forever(database: Database) -> None:
    """Keeps the age of the oldest reserved trade, every replica for itself: one row of an index is read."""
    while True:
        # Out of reach, the age that is known stays; readiness tells of it.
        with contextlib.suppress(Unavailable):
            RESERVED_AGE.set(await oldest_reserved_seconds(database))
        await asyncio.sleep(MEASURE_SECONDS)
