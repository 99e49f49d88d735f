"""How many calls a key and its organization may make: buckets in this replica's memory, refused when empty.

GCRA: a token bucket kept as one number, the moment it will be full again. Each replica counts for itself, so what a
partner may do in all is the limit times the replicas. Source: ADR 6, ADR 7.
"""

import math
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.domain.entitlement import KeyKind, Principal

BUCKETS_MAX: Final = 20_000
"""Of each kind. Beyond it the one that was idle for longest is forgotten, which fills it."""
_CALL: Final = 1_000_000_000
"""What a call takes from a bucket: a second's nanoseconds, shared by the calls of that second."""


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


class Left(Struct, frozen=True, gc=False):
    """What is left of one policy: no more than so many calls within so many seconds."""

    policy: str
    calls: int
    seconds: int


class Standing(Struct, frozen=True, gc=False):
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
        self._keys = _Buckets(key)
        self._organizations = _Buckets(organization)
        self.policies: Final = (_policy("key", key), _policy("organization", organization))

    def take(self, principal: Principal) -> Standing:
        """Counts a call of this caller, unless a bucket is empty: a refused call costs the organization nothing."""
        now = monotonic_ns()
        key_left, key_seconds = self._keys.take(principal.key_id, now)
        if key_left < 0:
            return _refusal("key", key_seconds)
        own = principal.organization_id
        left, seconds = self._organizations.take(own if principal.key_kind is KeyKind.SECRET else f"pk {own}", now)
        if left < 0:
            return _refusal("organization", seconds)
        return Standing((Left("key", key_left, key_seconds), Left("organization", left, seconds)))


class _Buckets:
    """One number a bucket: the moment it is full again.

    Moments are counted in nanoseconds times the calls a second, so that a call is worth the same whole number in each
    and nothing is ever rounded.
    """

    __slots__ = ("_burst", "_full_at", "_per_second", "_second")

    def __init__(self, limit: RateLimit) -> None:
        self._per_second = limit.per_second
        self._burst = limit.burst * _CALL
        self._second = limit.per_second * _CALL
        self._full_at: dict[str, int] = {}
        """By name, the one that was idle for longest first."""

    def take(self, name: str, now_nanoseconds: int) -> tuple[int, int]:
        """How many calls are left after this one, and in how many seconds none is missing; -1 and the wait for none."""
        now = now_nanoseconds * self._per_second
        # Taken out and put back in, so that it is the last.
        known = self._full_at.pop(name, 0)
        full_at = max(known, now) + _CALL
        room = now + self._burst - full_at
        if room < 0:
            self._full_at[name] = known
            return -1, -(room // self._second)
        self._full_at[name] = full_at
        if len(self._full_at) > BUCKETS_MAX:
            del self._full_at[next(iter(self._full_at))]
        return room // _CALL, -((now - full_at) // self._second)


def _policy(name: str, limit: RateLimit) -> Policy:
    return Policy(name, limit.burst, math.ceil(limit.burst / limit.per_second))


def _refusal(policy: str, retry_after_seconds: int) -> Standing:
    return Standing((Left(policy, 0, retry_after_seconds),), retry_after_seconds)
