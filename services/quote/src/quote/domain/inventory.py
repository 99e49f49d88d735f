"""A pool's stock of one currency: who gets it first, and what the end of a trade does to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from poolkit.money import ZERO
from quote.domain.pools import Side


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lies in a pool. `held` and `committed` are promised; the rest is free.

    `owed` is what settlement took that had been promised on meanwhile: only the return of a sale can, when the crypto
    it had brought in was quoted again. The ledger's inventory is total less owed, and nothing is free until it is paid.
    """

    pool_id: str
    currency: str
    total: Decimal
    held: Decimal
    committed: Decimal
    owed: Decimal

    @property
    def free(self) -> Decimal:
        """What new quotes may promise; negative while something is owed."""
        return self.total - self.held - self.committed - self.owed


@dataclass(frozen=True, slots=True)
class Want:
    """What one order needs in order to become a firm quote."""

    organization_id: str
    active_quotes_max: int
    stock: tuple[str, str]
    """Pool id and currency."""
    amount: Decimal


class Grant(StrEnum):
    """What an order gets."""

    GRANTED = "granted"
    POOL_DRY = "pool_dry"
    TOO_MANY_ACTIVE_QUOTES = "too_many_active_quotes"


def allocate(
    wants: Sequence[Want], *, active: Mapping[str, int], free: Mapping[tuple[str, str], Decimal]
) -> list[Grant]:
    """Serves orders in the order they came; one that does not fit takes nothing from those behind it.

    `active` counts each organization's active quotes, `free` is what each stock has left; both must be locked until the
    quotes are written. Where both fail, the organization's own limit is the answer, not the pool's state.
    """
    counts = dict(active)
    left = dict(free)
    grants = []
    for want in wants:
        count = counts.get(want.organization_id, 0)
        if count >= want.active_quotes_max:
            grants.append(Grant.TOO_MANY_ACTIVE_QUOTES)
        elif left.get(want.stock, ZERO) < want.amount:
            grants.append(Grant.POOL_DRY)
        else:
            counts[want.organization_id] = count + 1
            left[want.stock] -= want.amount
            grants.append(Grant.GRANTED)
    return grants


class Ending(StrEnum):
    """The terminal events of a trade, by the status they tell of."""

    SETTLED = "settled"
    FAILED = "failed"
    RELEASED = "released"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Change:
    """What is added to the two stocks of a pool."""

    crypto_total: Decimal = ZERO
    crypto_committed: Decimal = ZERO
    fiat_total: Decimal = ZERO
    fiat_committed: Decimal = ZERO


NUMBERS: Final[Mapping[Ending, int]] = {
    Ending.SETTLED: 1,
    Ending.FAILED: 1,
    Ending.RELEASED: 1,
    Ending.RETURNED: 2,
}
"""The number each carries among its trade's terminal events. Source: contract section 6."""


def change_of(ending: Ending, side: Side, *, crypto: Decimal, fiat: Decimal) -> Change:
    """What one terminal event does to its pool.

    `settled` draws what was committed, and a sale brings in its crypto; `failed` and `released` free what was
    committed; `returned` mirrors `settled` without touching what is committed. Each is an addition that depends on
    nothing but the trade's own terms, and additions commute: `returned` before its `settled` ends at the same stock, so
    no event has to wait for another.
    """
    on_ramp = side is Side.ON_RAMP
    if ending is Ending.SETTLED:
        if on_ramp:
            return Change(crypto_total=-crypto, crypto_committed=-crypto)
        return Change(crypto_total=crypto, fiat_total=-fiat, fiat_committed=-fiat)
    if ending is Ending.RETURNED:
        return Change(crypto_total=crypto) if on_ramp else Change(crypto_total=-crypto, fiat_total=fiat)
    return Change(crypto_committed=-crypto) if on_ramp else Change(fiat_committed=-fiat)
