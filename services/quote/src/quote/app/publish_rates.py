"""The use case of publishing rates: the newest `as of` of a pool wins, whoever published it and in whatever order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import structlog

from poolkit.database import Database
from quote.app.contention import when_contended_again
from quote.app.measures import RATES_IGNORED
from quote.store import pools

AHEAD_SECONDS_MAX: Final = 5.0
"""How far a feed's clock may be ahead of the database's."""

_log = structlog.get_logger("quote.rates")


@dataclass(frozen=True, slots=True)
class PublishedRate:
    """A pool's rate before spread."""

    pool_id: str
    rate: Decimal
    as_of: datetime


async def publish_rates(database: Database, rates: Sequence[PublishedRate], *, traceparent: str) -> int:
    """Takes what is newer than what is known; answers how many pools changed. Safe to repeat and to reorder."""
    rows = [(rate.pool_id, rate.rate, rate.as_of) for rate in rates]
    taken = await when_contended_again(
        lambda: pools.publish_rates(database, rows, ahead_seconds_max=AHEAD_SECONDS_MAX, traceparent=traceparent)
    )
    ignored = sorted({rate.pool_id for rate in rates} - taken)
    if ignored:
        RATES_IGNORED.inc(len(ignored))
        _log.debug("rates ignored", pools=ignored)
    return len(taken)
