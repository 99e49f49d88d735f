"""What this service counts, and how old the oldest reserved trade is. Source: contract section 10."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from poolkit.database import Database
from poolkit.errors import Unavailable
from trade.domain.lifecycle import Transition
from trade.domain.trade import Status
from trade.store.trades import oldest_reserved_seconds

MEASURE_SECONDS: Final = 5.0

RESERVED: Final = Counter("pools_trades_reserved", "Trades reserved")
TERMINAL_TRANSITIONS: Final = Counter(
    "pools_trade_terminal_transitions", "Terminal transitions, by the status and by whether a person made them",
    ["status", "by"],
)  # fmt: skip
SETTLEMENT_SECONDS: Final = Histogram(
    "pools_trade_settlement_seconds",
    "Time from reserving a trade to its first terminal status",
    ["status"],
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 1_800, 3_600, 14_400, 86_400),
)
RESERVED_AGE: Final = Gauge(
    "pools_reserved_trade_age_seconds", "Age of the oldest trade that is still reserved; 0 when there is none"
)


def count_transitions(transitions: Iterable[Transition], *, by: str) -> None:
    """Counts moves that were committed, made by a `report` or by an `operator`."""
    for transition in transitions:
        trade = transition.trade
        TERMINAL_TRANSITIONS.labels(trade.status.value, by).inc()
        if transition.previous is Status.RESERVED:
            seconds = (trade.updated_at - trade.created_at).total_seconds()
            SETTLEMENT_SECONDS.labels(trade.status.value).observe(max(0.0, seconds))


async def measure_forever(database: Database) -> None:
    """Keeps the age of the oldest reserved trade, every replica for itself: one row of an index is read."""
    while True:
        # Out of reach, the age that is known stays; readiness tells of it.
        with contextlib.suppress(Unavailable):
            RESERVED_AGE.set(await oldest_reserved_seconds(database))
        await asyncio.sleep(MEASURE_SECONDS)
