"""How many calls a key and its organization may make: buckets in this replica's memory, refused when empty.

GCRA: a token bucket kept as one number, the moment it will be full again. Each replica counts for itself, so what a
partner may do in all is the limit times the replicas; docs/adr/0006 says why that is enough.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from throttled import MemoryStore, RateLimiterType, per_sec
from throttled.rate_limiter import BaseRateLimiter, RateLimiterRegistry

from gateway.domain.entitlement import KeyKind, Principal

BUCKETS_MAX: Final = 20_000
"""Of each kind. Beyond it the one that was idle for longest is forgotten, which fills it."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many calls a second for long, and so many at once after a rest."""

    per_second: int
    burst: int


class Policy(NamedTuple):
    """A limit as partners are told of it: so many calls within so many seconds."""

    name: str
    quota: int
    window_seconds: int


class Left(NamedTuple):
    """What is left of one policy: no more than so many calls within so many seconds."""

    policy: str
    calls: int
    seconds: int


class Standing(NamedTuple):
    """Where a caller stands after a call was counted. A refusal names the one policy that was used up."""

    left: tuple[Left, ...]
    retry_after_seconds: int = 0
    """0 where the call may go on; else when the next one may, one second or more."""


class RateLimits:
    """Buckets by key and by organization. Only keys that are known and past the gates have any, so noise makes none.

    Publishable keys are public: whoever reads one in a page can spend it. So they draw on a bucket of their own for the
    organization, and never on what its servers need.
    """

    def __init__(self, *, key: RateLimit, organization: RateLimit) -> None:
        self._keys = _limiter(key)
        self._organizations = _limiter(organization)
        self.policies: Final = (_policy("key", key), _policy("organization", organization))

    def take(self, principal: Principal) -> Standing:
        """Counts a call of this caller, unless a bucket is empty: a refused call costs the organization nothing."""
        of_key = self._keys.limit(principal.key_id)
        if of_key.limited:
            return _refusal("key", of_key.state.retry_after)
        own = principal.organization_id
        of_organization = self._organizations.limit(own if principal.key_kind is KeyKind.SECRET else f"pk {own}")
        if of_organization.limited:
            return _refusal("organization", of_organization.state.retry_after)
        key, organization = of_key.state, of_organization.state
        return Standing(
            (
                Left("key", key.remaining, math.ceil(key.reset_after)),
                Left("organization", organization.remaining, math.ceil(organization.reset_after)),
            )
        )


def _limiter(limit: RateLimit) -> BaseRateLimiter:
    store = MemoryStore(options={"MAX_SIZE": BUCKETS_MAX})
    return RateLimiterRegistry.get(RateLimiterType.GCRA.value)(per_sec(limit.per_second, limit.burst), store)


def _policy(name: str, limit: RateLimit) -> Policy:
    return Policy(name, limit.burst, math.ceil(limit.burst / limit.per_second))


def _refusal(policy: str, seconds: float) -> Standing:
    retry_after_seconds = max(1, math.ceil(seconds))
    return Standing((Left(policy, 0, retry_after_seconds),), retry_after_seconds)
