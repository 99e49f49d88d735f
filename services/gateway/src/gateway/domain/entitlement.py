"""What an organization may do in this mode: its status, pools, tier and caps, and the keys that speak for it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from poolkit.errors import InvalidRequest
from poolkit.money import FIAT, ZERO, Money


class EntitlementStatus(StrEnum):
    """Whether the entitlement holds."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class KycStatus(StrEnum):
    """Where the organization's verification stands."""

    APPROVED = "approved"
    PENDING = "pending"
    REVOKED = "revoked"


class KeyKind(StrEnum):
    """What a key may do; the values are the prefixes of the keys."""

    PUBLISHABLE = "pk"
    SECRET = "sk"  # noqa: S105 - the prefix is public


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One organization's entitlement in the mode of this deployment."""

    organization_id: str
    mode: str
    status: EntitlementStatus
    kyc_status: KycStatus
    tier: str
    pool_ids: tuple[str, ...]
    """Pools it may use, sorted; none at all is possible."""
    off_ramp_enabled: bool
    balance_gate_enabled: bool
    notional_caps: tuple[Money, ...] = ()
    """Rolling 24 h caps by fiat currency, sorted; a currency without one is not capped."""

    def changed(self, change: "EntitlementChange") -> "Entitlement":
        """The entitlement after the change. Raises InvalidRequest for a cap that is none."""
        given = {
            field.name: value
            for field in dataclasses.fields(change)
            if (value := getattr(change, field.name)) is not None and field.name != "notional_caps"
        }
        if "pool_ids" in given:
            given["pool_ids"] = tuple(sorted(set(given["pool_ids"])))
        return dataclasses.replace(self, notional_caps=self._caps_with(change.notional_caps), **given)

    def _caps_with(self, changes: Mapping[str, Decimal]) -> tuple[Money, ...]:
        caps = {cap.currency: cap for cap in self.notional_caps}
        for currency, amount in changes.items():
            if currency not in FIAT:
                raise InvalidRequest("a cap is kept in a fiat currency; name one.", field="notional_caps.currency")
            if amount < ZERO:
                raise InvalidRequest("a cap is zero, to remove it, or more.", field="notional_caps.amount")
            caps.pop(currency, None)
            if amount:
                caps[currency] = Money(amount, currency)
        return tuple(caps[currency] for currency in sorted(caps))


@dataclass(frozen=True, slots=True)
class EntitlementChange:
    """What to change; None stays as it is."""

    status: EntitlementStatus | None = None
    kyc_status: KycStatus | None = None
    tier: str | None = None
    pool_ids: tuple[str, ...] | None = None
    off_ramp_enabled: bool | None = None
    balance_gate_enabled: bool | None = None
    notional_caps: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    """New caps by currency; zero removes one, what is not named stays."""


@dataclass(slots=True)
class PresentedKey:
    """A key as a request brought it: well formed, but not looked up yet."""

    kind: KeyKind
    mode: str
    text: str = dataclasses.field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """Whom a key in force speaks for. The entitlement is None where the organization has none in this mode.

    Each look-up makes another: what is remembered of one is never said of the next.
    """

    key_id: str
    key_kind: KeyKind
    key_label: str
    organization_id: str
    entitlement: Entitlement | None
