"""What a pool offers one organization, what the organization has to trade with, and how it pays money in."""

from dataclasses import dataclass
from typing import Final

from gateway.domain.entitlement import Entitlement
from gateway.domain.records import CataloguedPool, TierRecord

OFF_RAMP: Final = 2
"""The side's number in pools.types.v1."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A pool as it is for an organization of one tier."""

    pool: CataloguedPool
    tier: str
    terms: TierRecord | None
    """What it costs; None where the pool has no prices for the tier."""
    sides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What an organization has in a pool's fiat currency."""

    tier: str
    pool_ids: tuple[str, ...]
    available: bool
    """Whether a quote could be given now."""
    currency: str
    amount: str | None
    """Posted less holds; None where nobody asks for it because the balance gate is off."""


@dataclass(frozen=True, slots=True)
class Funding:
    """How to pay in."""

    currency: str
    iban: str | None
    reference: str

    @property
    def instructions(self) -> str:
        """For people."""
        where = f"to {self.iban}" if self.iban else "to the account named in your contract"
        return (
            f"Pay {self.currency} by bank transfer {where}, with {self.reference} as the purpose of the payment. "
            "It is credited as soon as the bank reports it."
        )


def capabilities(pool: CataloguedPool, entitlement: Entitlement) -> Capabilities:
    """The pool as it is for the organization: off-ramp is no side of it where it is not enabled."""
    terms = next((terms for terms in pool.tiers if terms.tier == entitlement.tier), None)
    sides = tuple(side for side in pool.sides if side != OFF_RAMP or entitlement.off_ramp_enabled)
    return Capabilities(pool, entitlement.tier, terms, sides)
