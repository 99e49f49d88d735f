"""The use case of listing pools, with whether a quote could be given now."""

from collections.abc import Sequence

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from quote.domain.pools import Side
from quote.domain.pricing import Terms, buy_for
from quote.store import pools
from quote.store.pools import ListedPool


async def list_pools(database: Database, *, after: str, limit: int) -> Sequence[ListedPool]:
    """Pools by id, from the one behind `after`. Raises InvalidRequest for a token that is none."""
    if "\x00" in after:
        raise InvalidRequest("it is no token of a page before.", field="page_token")
    return await pools.list_pools(database, after=after, limit=limit)


def is_available(listed: ListedPool) -> bool:
    """Whether an on-ramp quote of the smallest order could be given now, at every tier: fresh rate and inventory."""
    pool, rate = listed.pool, listed.rate
    if rate is None or not listed.tiers or Side.ON_RAMP not in pool.sides:
        return False
    return all(
        0 < buy_for(pool.order_min, Terms.of(pool, tier, rate)).crypto <= listed.free_crypto for tier in listed.tiers
    )
