"""Owns the simulated rate feed: the same plausible rate for each pool, fresh every second."""

import asyncio
import random
import time
from decimal import Decimal
from typing import Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from poolkit.errors import DomainError
from poolkit.money import floor_to, format_decimal
from pools.quote.v1 import quote_pb2
from pools_contracts.quote import QuoteClient

log = structlog.get_logger("poolctl.sandbox")

RATES: Final = {
    "EUR-USDT": Decimal("1.085000"),
    "EUR-USDC": Decimal("1.085200"),
    "GBP-USDT": Decimal("1.270000"),
    "USD-USDT": Decimal("0.999500"),
}
"""Units of crypto for one unit of fiat."""

PUBLISH_SECONDS: Final = 1.0
FRESH_SECONDS_MAX: Final = 30.0
"""Pools take a rate for a minute; from half of it on the sandbox says that something is wrong."""
_DIGITS: Final = 6


class RateFeed:
    """Publishes every pool's rate. Without jitter they never move: a partner's tests can count on them."""

    def __init__(self, quote: QuoteClient, jitter_bps: float = 0.0) -> None:
        self._quote = quote
        self._jitter_bps = jitter_bps
        self._published_at = float("-inf")

    @property
    def fresh(self) -> bool:
        """Whether rates were taken lately, by the wall clock: they age while the machine sleeps."""
        return time.time() - self._published_at < FRESH_SECONDS_MAX

    async def run(self) -> None:
        """Publishes every second; a quote service out of reach is waited for."""
        while True:
            try:
                await self.publish()
            except DomainError as error:
                log.warning("rates_not_published", reason=error.code)
            await asyncio.sleep(PUBLISH_SECONDS)

    async def publish(self) -> None:
        """Publishes every pool's rate as of now."""
        now = Timestamp()
        now.FromNanoseconds(time.time_ns())
        rates = [
            quote_pb2.Rate(pool_id=pool_id, rate=format_decimal(self._now(rate), _DIGITS), as_of_time=now)
            for pool_id, rate in RATES.items()
        ]
        await self._quote.admin.PublishRates(quote_pb2.PublishRatesRequest(rates=rates))
        self._published_at = now.ToNanoseconds() / 1e9

    def _now(self, rate: Decimal) -> Decimal:
        if not self._jitter_bps:
            return rate
        offset_bps = random.uniform(-self._jitter_bps, self._jitter_bps)  # noqa: S311 - a price, no secret
        return floor_to(rate * (1 + Decimal(str(offset_bps)) / 10_000), _DIGITS)
