"""Owns the tables `pools`, `pool_tiers` and `rates`: what prices are made of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from poolkit.database import Database, Record
from quote.domain.pools import Pool, Side, Tier

_POOL = """p.pool_id, p.fiat_currency, p.crypto_currency, p.networks, p.sides, p.order_min, p.order_max, p.quote_ttl_ms,
       p.rate_age_seconds_max"""

# A rate of the future ages from its arrival, so that a feed whose clock is ahead cannot make one that stays fresh.
_FRESH_RATE = """CASE WHEN least(r.as_of, r.received_at)
                 > clock_timestamp() - make_interval(secs => p.rate_age_seconds_max) THEN r.rate END AS rate"""

_FREE = """
       (SELECT i.total - i.held - i.committed - i.owed FROM inventory i
        WHERE i.pool_id = p.pool_id AND i.currency = p.crypto_currency) AS free_crypto,
       (SELECT i.total - i.held - i.committed - i.owed FROM inventory i
        WHERE i.pool_id = p.pool_id AND i.currency = p.fiat_currency) AS free_fiat"""

_OFFERS = f"""
SELECT {_POOL}, a.tier, t.spread_bps, t.fee_bps, t.active_quotes_max, {_FRESH_RATE}, {_FREE},
       clock_timestamp() AS now
FROM unnest($1::text[], $2::text[]) AS a (pool_id, tier)
JOIN pools p ON p.pool_id = a.pool_id
LEFT JOIN pool_tiers t ON t.pool_id = a.pool_id AND t.tier = a.tier
LEFT JOIN rates r ON r.pool_id = a.pool_id
"""  # noqa: S608 - constants only

_LIST = f"""
SELECT {_POOL}, {_FRESH_RATE}, {_FREE},
       (SELECT array_agg(t.tier ORDER BY t.tier) FROM pool_tiers t WHERE t.pool_id = p.pool_id) AS tiers,
       (SELECT array_agg(t.spread_bps ORDER BY t.tier) FROM pool_tiers t WHERE t.pool_id = p.pool_id) AS spreads,
       (SELECT array_agg(t.fee_bps ORDER BY t.tier) FROM pool_tiers t WHERE t.pool_id = p.pool_id) AS fees,
       (SELECT array_agg(t.active_quotes_max ORDER BY t.tier) FROM pool_tiers t
        WHERE t.pool_id = p.pool_id) AS maxima
FROM pools p LEFT JOIN rates r ON r.pool_id = p.pool_id
WHERE p.pool_id > $1
ORDER BY p.pool_id LIMIT $2
"""  # noqa: S608 - constants only

# What is there stays: a person may have changed it since.
_SEED_POOLS = """
INSERT INTO pools (pool_id, fiat_currency, crypto_currency, networks, sides, order_min, order_max, quote_ttl_ms,
                   rate_age_seconds_max)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
"""
_SEED_TIERS = """
INSERT INTO pool_tiers (pool_id, tier, spread_bps, fee_bps, active_quotes_max)
SELECT $1, * FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[])
ON CONFLICT DO NOTHING
"""
_SEED_INVENTORY = "INSERT INTO inventory (pool_id, currency) VALUES ($1, $2), ($1, $3) ON CONFLICT DO NOTHING"

_PUBLISH = """
WITH newest AS (
    SELECT DISTINCT ON (pool_id) * FROM unnest($1::text[], $2::numeric[], $3::timestamptz[]) AS n (pool_id, rate, as_of)
    WHERE n.as_of <= clock_timestamp() + make_interval(secs => $4)
    ORDER BY pool_id, as_of DESC
), known AS (
    SELECT n.* FROM newest n JOIN pools p ON p.pool_id = n.pool_id
)
INSERT INTO rates AS r (pool_id, rate, as_of, received_at, traceparent)
SELECT pool_id, rate, as_of, clock_timestamp(), $5 FROM known ORDER BY pool_id
ON CONFLICT (pool_id) DO UPDATE
    SET rate = excluded.rate, as_of = excluded.as_of, received_at = excluded.received_at,
        traceparent = excluded.traceparent
    WHERE r.as_of < excluded.as_of
RETURNING r.pool_id
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a pool offers organizations of one tier now."""

    pool: Pool
    tier: Tier | None
    """None where the pool has no such tier."""
    rate: Decimal | None
    """None where there is none that is young enough."""
    free_crypto: Decimal
    free_fiat: Decimal
    now: datetime

    def free(self, side: Side) -> Decimal:
        """What quotes of this side may still promise, as read without a lock."""
        return self.free_crypto if side is Side.ON_RAMP else self.free_fiat


@dataclass(frozen=True, slots=True)
class ListedPool:
    """A pool with its tiers."""

    pool: Pool
    tiers: tuple[Tier, ...]
    rate: Decimal | None
    free_crypto: Decimal


async def read_offers(database: Database, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Offer]:
    """The offers by (pool id, tier); pools that do not exist are left out."""
    rows = await database.fetch(_OFFERS, [pool_id for pool_id, _ in wanted], [tier for _, tier in wanted])
    return {(row["pool_id"], row["tier"]): _offer(row) for row in rows}


async def list_pools(database: Database, *, after: str, limit: int) -> list[ListedPool]:
    """Pools by id, from the one behind `after`."""
    return [
        ListedPool(
            _pool(row),
            tuple(map(Tier, row["tiers"] or (), row["spreads"] or (), row["fees"] or (), row["maxima"] or ())),
            row["rate"],
            row["free_crypto"] or Decimal(0),
        )
        for row in await database.fetch(_LIST, after, limit)
    ]


async def seed_pool(database: Database, pool: Pool, tiers: Sequence[Tier]) -> None:
    """Makes the pool, its tiers and its empty inventory where they are missing."""
    async with database.transaction() as unit:
        await unit.execute(
            _SEED_POOLS,
            pool.pool_id,
            pool.fiat_currency,
            pool.crypto_currency,
            pool.networks,
            pool.sides,
            pool.order_min,
            pool.order_max,
            pool.quote_ttl_ms,
            pool.rate_age_seconds_max,
        )
        await unit.execute(
            _SEED_TIERS,
            pool.pool_id,
            [tier.name for tier in tiers],
            [tier.spread_bps for tier in tiers],
            [tier.fee_bps for tier in tiers],
            [tier.active_quotes_max for tier in tiers],
        )
        await unit.execute(_SEED_INVENTORY, pool.pool_id, pool.crypto_currency, pool.fiat_currency)
        await unit.commit()


async def publish_rates(
    database: Database,
    rates: Sequence[tuple[str, Decimal, datetime]],
    *,
    ahead_seconds_max: float,
    traceparent: str,
) -> set[str]:
    """Takes (pool id, rate, as of) where it is newer than what is known; answers the pools whose rate changed.

    Rates of unknown pools, and of a time more than `ahead_seconds_max` in the future, are left out: one taken from a
    clock that runs an hour ahead would shut out every true rate for that hour.
    """
    rows = await database.fetch(
        _PUBLISH,
        [pool_id for pool_id, _, _ in rates],
        [rate for _, rate, _ in rates],
        [as_of for _, _, as_of in rates],
        ahead_seconds_max,
        traceparent,
    )
    return {row["pool_id"] for row in rows}


def _pool(row: Record) -> Pool:
    return Pool(
        pool_id=row["pool_id"],
        fiat_currency=row["fiat_currency"],
        crypto_currency=row["crypto_currency"],
        networks=tuple(row["networks"]),
        sides=tuple(Side(side) for side in row["sides"]),
        order_min=row["order_min"],
        order_max=row["order_max"],
        quote_ttl_ms=row["quote_ttl_ms"],
        rate_age_seconds_max=row["rate_age_seconds_max"],
    )


def _offer(row: Record) -> Offer:
    tier = None
    if row["spread_bps"] is not None:
        tier = Tier(row["tier"], row["spread_bps"], row["fee_bps"], row["active_quotes_max"])
    return Offer(
        _pool(row), tier, row["rate"], row["free_crypto"] or Decimal(0), row["free_fiat"] or Decimal(0), row["now"]
    )
