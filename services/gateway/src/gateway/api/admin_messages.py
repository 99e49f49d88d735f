"""Translations between the messages of AdminService and the objects of provisioning."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from gateway.domain.entitlement import Entitlement, EntitlementChange, EntitlementStatus, KeyKind, KycStatus
from gateway.store.keys import StoredKey
from poolkit.errors import InvalidRequest
from poolkit.money import ZERO, parse_amount
from poolkit.rpc.convert import MODES, from_money, from_time
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2

_STATUSES: Final = {
    admin_pb2.ENTITLEMENT_STATUS_ACTIVE: EntitlementStatus.ACTIVE,
    admin_pb2.ENTITLEMENT_STATUS_SUSPENDED: EntitlementStatus.SUSPENDED,
}
_KYC_STATUSES: Final = {
    admin_pb2.KYC_STATUS_APPROVED: KycStatus.APPROVED,
    admin_pb2.KYC_STATUS_PENDING: KycStatus.PENDING,
    admin_pb2.KYC_STATUS_REVOKED: KycStatus.REVOKED,
}
_KINDS: Final = {
    admin_pb2.KEY_KIND_PUBLISHABLE: KeyKind.PUBLISHABLE,
    admin_pb2.KEY_KIND_SECRET: KeyKind.SECRET,
}
_STATUS_NUMBERS: Final = {status: number for number, status in _STATUSES.items()}
_KYC_STATUS_NUMBERS: Final = {status: number for number, status in _KYC_STATUSES.items()}
_KIND_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}


def entitlement_message(entitlement: Entitlement) -> admin_pb2.Entitlement:
    """The entitlement as colleagues see it."""
    return admin_pb2.Entitlement(
        organization_id=entitlement.organization_id,
        status=_STATUS_NUMBERS[entitlement.status],
        kyc_status=_KYC_STATUS_NUMBERS[entitlement.kyc_status],
        tier=entitlement.tier,
        pool_ids=entitlement.pool_ids,
        off_ramp_enabled=entitlement.off_ramp_enabled,
        balance_gate_enabled=entitlement.balance_gate_enabled,
        notional_caps=[from_money(cap) for cap in entitlement.notional_caps],
        mode=MODES[entitlement.mode],
    )


def entitlement_change(request: admin_pb2.UpdateEntitlementRequest) -> EntitlementChange:
    """What to change. Raises InvalidRequest for an amount that is none, or a currency named twice."""
    caps = {cap.currency: _cap(cap) for cap in request.notional_caps}
    if len(caps) != len(request.notional_caps):
        raise InvalidRequest("a currency is named twice; name it once.", field="notional_caps")
    return EntitlementChange(
        status=_STATUSES.get(request.status),
        kyc_status=_KYC_STATUSES.get(request.kyc_status),
        tier=request.tier if request.HasField("tier") else None,
        pool_ids=tuple(request.pools.pool_ids) if request.HasField("pools") else None,
        off_ramp_enabled=request.off_ramp_enabled if request.HasField("off_ramp_enabled") else None,
        balance_gate_enabled=request.balance_gate_enabled if request.HasField("balance_gate_enabled") else None,
        notional_caps=caps,
    )


def _cap(cap: types_pb2.Money) -> Decimal:
    if cap.amount.strip("0.") == "" and cap.amount[:1] == "0":
        return ZERO
    return parse_amount(cap.amount, cap.currency, field="notional_caps.amount")


def key_kind(kind: admin_pb2.KeyKind.ValueType) -> KeyKind:
    """The kind of a key to make. Raises InvalidRequest where it is not stated."""
    known = _KINDS.get(kind)
    if known is None:
        raise InvalidRequest("say whether the key is publishable or secret.", field="kind")
    return known


def key_message(key: StoredKey) -> admin_pb2.ApiKey:
    """What is kept of a key."""
    return admin_pb2.ApiKey(
        key_id=key.key_id,
        organization_id=key.organization_id,
        kind=_KIND_NUMBERS[key.kind],
        label=key.label,
        create_time=from_time(key.created_at),
        revoke_time=from_time(key.revoked_at) if key.revoked_at is not None else None,
        expire_time=from_time(key.expires_at) if key.expires_at is not None else None,
        replaces_key_id=key.replaces_key_id or "",
    )
