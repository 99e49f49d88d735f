"""Tables `organizations`, `entitlements`, `notional_caps` and `api_keys`: who may call, and what a key speaks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.domain.entitlement import Entitlement, EntitlementStatus, KeyKind, KycStatus, Principal
from poolkit.context import CallContext
from poolkit.database import Database, Record, Unit
from poolkit.money import Money

CHANGED_CHANNEL: Final = "gateway_access"
"""Notified when a key or an entitlement changed, so that replicas forget what they remember."""

Statements = Database | Unit
"""One statement by itself, or within a transaction."""

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
 WHERE k.key_hash = $1 AND k.revoked_at IS NULL
"""  # noqa: S608 - no value is put into the text

_READ_FOR_UPDATE: Final = f"""
SELECT {_ENTITLEMENT_COLUMNS} FROM entitlements e WHERE e.organization_id = $1 AND e.mode = $2 FOR UPDATE
"""  # noqa: S608 - no value is put into the text

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

_INSERT_KEY: Final = """
INSERT INTO api_keys (key_id, organization_id, kind, label, key_hash, request_id, traceparent)
SELECT $1, o.organization_id, $3, $4, $5, $6, $7 FROM organizations o WHERE o.organization_id = $2
RETURNING key_id, organization_id, kind, label, created_at, revoked_at
"""

_LIST_KEYS: Final = """
SELECT key_id, organization_id, kind, label, created_at, revoked_at
  FROM api_keys WHERE organization_id = $1 AND ($2 = '' OR key_id < $2) ORDER BY key_id DESC LIMIT $3
"""

_REVOKE_KEY: Final = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE key_id = $1
RETURNING key_id, organization_id, kind, label, created_at, revoked_at
"""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of a key: never the key."""

    key_id: str
    organization_id: str
    kind: KeyKind
    label: str
    created_at: datetime
    revoked_at: datetime | None


async def look_up_key(database: Database, key_hash: bytes, mode: str) -> Principal | None:
    """Whom a key in force speaks for, with the entitlement in this mode. Raises Unavailable."""
    row = await database.fetch_row(_LOOK_UP, key_hash, mode)
    if row is None:
        return None
    entitlement = _entitlement(row) if row["organization_id"] is not None else None
    return Principal(row["key_id"], KeyKind(row["kind"]), row["label"], row["key_organization_id"], entitlement)


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


async def insert_key(
    statements: Statements, context: CallContext, *, key_id: str, kind: KeyKind, label: str, key_hash: bytes
) -> StoredKey | None:
    """Stores a key of the context's organization; None where there is no such organization."""
    row = await statements.fetch_row(
        _INSERT_KEY,
        key_id,
        context.organization_id,
        kind.value,
        label,
        key_hash,
        context.request_id,
        context.traceparent,
    )
    return None if row is None else _stored_key(row)


async def list_keys(database: Database, organization_id: str, *, before: str, limit: int) -> Sequence[StoredKey]:
    """An organization's keys, newest first, older than the key id `before` where that is given."""
    return [_stored_key(row) for row in await database.fetch(_LIST_KEYS, organization_id, before, limit)]


async def revoke_key(unit: Unit, key_id: str) -> StoredKey | None:
    """Revokes a key for good and tells the replicas; None where there is none. A repeat changes nothing."""
    row = await unit.fetch_row(_REVOKE_KEY, key_id)
    if row is None:
        return None
    await notify_changed(unit)
    return _stored_key(row)


async def notify_changed(unit: Unit) -> None:
    """Tells every replica, on commit, to forget what it remembers."""
    await unit.execute(f"NOTIFY {CHANGED_CHANNEL}")


def _stored_key(row: Any) -> StoredKey:
    return StoredKey(
        row["key_id"], row["organization_id"], KeyKind(row["kind"]), row["label"], row["created_at"], row["revoked_at"]
    )
