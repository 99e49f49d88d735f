"""The gates every partner call passes, in their order: the first that is shut answers, and all are shut by default.

Source: contract section 4. Its rows for rate, size and schema lie between these and the pool's, at the edge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.domain.entitlement import Entitlement, EntitlementStatus, KeyKind, KycStatus, Principal
from poolkit.errors import (
    DomainError,
    KeyModeMismatch,
    KycNotApproved,
    NotFound,
    PoolAccessSuspended,
    PoolNotAllowed,
    PoolsNotEnabled,
    SecretKeyInBrowser,
    SecretKeyRequired,
    Unauthorized,
)


class Caller(NamedTuple):
    """What the gates look at."""

    key_kind: KeyKind | None
    """None where there is no key, or one that is not well formed."""
    key_mode: str
    mode: str
    """The mode of this deployment."""
    in_browser: bool
    """Whether a browser made the request."""
    publishable_may: bool
    """Whether the operation is open to publishable keys."""
    principal: Principal | None = None
    """Whom the key speaks for; None until it was looked up, and where it is unknown or revoked."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One row of the table: why it refuses, and the one condition under which it lets a caller through."""

    refusal: type[DomainError]
    is_open: Callable[[Caller], bool]


def _entitlement(caller: Caller) -> Entitlement | None:
    return caller.principal.entitlement if caller.principal is not None else None


def _is_active(caller: Caller) -> bool:
    entitlement = _entitlement(caller)
    return entitlement is not None and entitlement.status is EntitlementStatus.ACTIVE


def _is_approved(caller: Caller) -> bool:
    entitlement = _entitlement(caller)
    return entitlement is not None and entitlement.kyc_status is KycStatus.APPROVED


def _is_secret(caller: Caller) -> bool:
    return caller.key_kind is KeyKind.SECRET


BEFORE_LOOK_UP: Final = (
    Gate(Unauthorized, lambda caller: caller.key_kind is not None),
    Gate(KeyModeMismatch, lambda caller: caller.key_mode == caller.mode),
)
"""Decided by the request alone: a key of the other mode is never looked up."""

AFTER_LOOK_UP: Final = (
    Gate(Unauthorized, lambda caller: caller.principal is not None),
    Gate(SecretKeyInBrowser, lambda caller: not (caller.in_browser and _is_secret(caller))),
    Gate(SecretKeyRequired, lambda caller: caller.publishable_may or _is_secret(caller)),
    Gate(PoolsNotEnabled, lambda caller: _entitlement(caller) is not None),
    Gate(PoolAccessSuspended, _is_active),
    Gate(KycNotApproved, _is_approved),
)
"""Decided by whom the key speaks for."""


def refusal_before_look_up(caller: Caller) -> DomainError | None:
    """Why the request is refused without asking whose key it brought, or None."""
    return _refusal(_first_shut(BEFORE_LOOK_UP, caller))


def refusal_after_look_up(caller: Caller) -> DomainError | None:
    """Why the caller is refused, or None: then there is an entitlement, active and approved."""
    return _refusal(_first_shut_after_look_up(caller))


@lru_cache(maxsize=4096)
def _first_shut_after_look_up(caller: Caller) -> Gate | None:
    # All it looks at is in `caller` and never changes, a principal included; the same few call again and again.
    return _first_shut(AFTER_LOOK_UP, caller)


def _first_shut(gates: tuple[Gate, ...], caller: Caller) -> Gate | None:
    return next((gate for gate in gates if not gate.is_open(caller)), None)


def _refusal(shut: Gate | None) -> DomainError | None:
    return None if shut is None else shut.refusal()


def pool_refusal(entitlement: Entitlement, pool_id: str, *, exists: bool) -> DomainError | None:
    """Why the organization may not use the pool, or None. A pool that does not exist is absent, allowed or not."""
    if not exists:
        return NotFound("pool")
    return None if pool_id in entitlement.pool_ids else PoolNotAllowed()
