"""The use case of a sandbox's first start: its pools and tiers, without inventory and without rates."""

from decimal import Decimal
from typing import Final

from poolkit.database import Database
from quote.domain.pools import Pool, Side, Tier
from quote.store import pools

_PAIRS: Final = (("EUR", "USDT"), ("EUR", "USDC"), ("GBP", "USDT"), ("USD", "USDT"))

TIERS: Final = (
    Tier("standard", spread_bps=35, fee_bps=20, active_quotes_max=100),
    Tier("premium", spread_bps=20, fee_bps=10, active_quotes_max=500),
)

POOLS: Final = tuple(
    Pool(
        pool_id=f"{fiat}-{crypto}",
        fiat_currency=fiat,
        crypto_currency=crypto,
        networks=("tron", "ethereum", "polygon", "base"),
        sides=(Side.ON_RAMP, Side.OFF_RAMP),
        order_min=Decimal("1.00"),
        order_max=Decimal("50000.00"),
        quote_ttl_ms=15_000,
        rate_age_seconds_max=60,
    )
    for fiat, crypto in _PAIRS
)
"""Source: contract sections 5 and 11."""


async def seed_pools(database: Database) -> None:
    """Makes what is missing and leaves what is there, so that a changed pool stays changed. Safe to repeat."""
    for pool in POOLS:
        await pools.seed_pool(database, pool, TIERS)
