"""Tables `organizations`, `entitlements` and `notional_caps`: who may call, and what a key speaks for."""

from typing import Final

from gateway.domain.entitlement import Entitlement, EntitlementStatus, KeyKind, KycStatus, Principal
from poolkit.context import CallContext
from poolkit.database import Database, Record, Unit
from poolkit.money import Money

CHANGED_CHANNEL: Final = "gateway_access"
"""Notified when a key or an entitlement changed, so that replicas forget what they remember."""

_ENTITLEMENT_COLUMNS: Final = """
    e.organization_id, e.mode, e.status, e.kyc_status, e.tier, e.pool_ids, e.off_ramp_enabled, e.balance_gate_enabled,
    ARRAY(SELECT c.currency FROM notional_caps c
           WHERE c.organization_id = e.organization_id AND c.mode = e.mode ORDER BY c.currency) AS cap_currencies,
    ARRAY(SELECT c.amount FROM notional_caps c
           WHERE c.organization_id = e.organization_id AND c.mode = e.mode ORDER BY c.currency) AS cap_amounts
"""

_LOOK_UP: Final = f"""
SELECT k.key_id, k.kind, k.label, k.organization_id AS key_organization_id, {_ENTITLEMENT_COLUMNS}
  FROM api_keys k
  LEFT JOIN entitlements e ON e.organization_id = k.organization_id AND e.mode = $2
 WHERE k.key_hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""  # noqa: S608 - no value is put into the text

_READ: Final = f"""
SELECT {_ENTITLEMENT_COLUMNS} FROM entitlements e WHERE e.organization_id = $1 AND e.mode = $2
"""  # noqa: S608 - no value is put into the text

_READ_FOR_UPDATE: Final = f"{_READ} FOR UPDATE"

_INSERT_ORGANIZATION: Final = """
INSERT INTO organizations (organization_id, name, request_id, traceparent) VALUES ($1, $2, $3, $4)
"""

_UPSERT_ENTITLEMENT: Final = """
INSERT INTO entitlements (
    organization_id, mode, status, kyc_status, tier, pool_ids, off_ramp_enabled, balance_gate_enabled, request_id,
    traceparent
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (organization_id, mode) DO UPDATE SET
    status = excluded.status, kyc_status = excluded.kyc_status, tier = excluded.tier, pool_ids = excluded.pool_ids,
    off_ramp_enabled = excluded.off_ramp_enabled, balance_gate_enabled = excluded.balance_gate_enabled,
    request_id = excluded.request_id, traceparent = excluded.traceparent, updated_at = clock_timestamp()
"""

_REPLACE_CAPS: Final = """
WITH given AS (SELECT * FROM unnest($3::text[], $4::numeric[]) AS cap (currency, amount)),
     removed AS (
         DELETE FROM notional_caps
          WHERE organization_id = $1 AND mode = $2 AND currency NOT IN (SELECT currency FROM given)
     )
INSERT INTO notional_caps (organization_id, mode, currency, amount)
SELECT $1, $2, currency, amount FROM given
ON CONFLICT (organization_id, mode, currency) DO UPDATE SET amount = excluded.amount
"""


async def look_up_key(database: Database, key_hash: bytes, mode: str) -> Principal | None:
    """Whom a key in force speaks for, with the entitlement in this mode. Raises Unavailable."""
    row = await database.fetch_row(_LOOK_UP, key_hash, mode)
    if row is None:
        return None
    entitlement = _entitlement(row) if row["organization_id"] is not None else None
    return Principal(row["key_id"], KeyKind(row["kind"]), row["label"], row["key_organization_id"], entitlement)


async def read_entitlement(database: Database, organization_id: str, mode: str) -> Entitlement | None:
    """The entitlement; None for an organization that has none in this mode, or does not exist."""
    row = await database.fetch_row(_READ, organization_id, mode)
    return None if row is None else _entitlement(row)


async def read_entitlement_for_update(unit: Unit, organization_id: str, mode: str) -> Entitlement | None:
    """The entitlement, locked until the transaction ends."""
    row = await unit.fetch_row(_READ_FOR_UPDATE, organization_id, mode)
    return None if row is None else _entitlement(row)


def _entitlement(row: Record) -> Entitlement:
    caps = zip(row["cap_amounts"], row["cap_currencies"], strict=True)
    return Entitlement(
        organization_id=row["organization_id"],
        mode=row["mode"],
        status=EntitlementStatus(row["status"]),
        kyc_status=KycStatus(row["kyc_status"]),
        tier=row["tier"],
        pool_ids=tuple(row["pool_ids"]),
        off_ramp_enabled=row["off_ramp_enabled"],
        balance_gate_enabled=row["balance_gate_enabled"],
        notional_caps=tuple(Money(amount, currency) for amount, currency in caps),
    )


async def insert_organization(unit: Unit, context: CallContext, name: str) -> None:
    """Makes the organization of the context."""
    await unit.execute(_INSERT_ORGANIZATION, context.organization_id, name, context.request_id, context.traceparent)


async def write_entitlement(unit: Unit, context: CallContext, entitlement: Entitlement) -> None:
    """Stores the entitlement as given and tells the replicas."""
    caps = entitlement.notional_caps
    await unit.execute(
        _UPSERT_ENTITLEMENT,
        entitlement.organization_id,
        entitlement.mode,
        entitlement.status.value,
        entitlement.kyc_status.value,
        entitlement.tier,
        list(entitlement.pool_ids),
        entitlement.off_ramp_enabled,
        entitlement.balance_gate_enabled,
        context.request_id,
        context.traceparent,
    )
    await unit.execute(
        _REPLACE_CAPS,
        entitlement.organization_id,
        entitlement.mode,
        [cap.currency for cap in caps],
        [cap.amount for cap in caps],
    )
    await notify_changed(unit)


async def notify_changed(unit: Unit) -> None:
    """Tells every replica, on commit, to forget what it remembers."""
    await unit.execute(f"NOTIFY {CHANGED_CHANNEL}")
