"""Table `api_keys`: what is kept of keys, which is never the key, and until when each is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.domain.entitlement import KeyKind
from gateway.store.access import notify_changed
from poolkit.context import CallContext
from poolkit.database import Database, Unit

Statements = Database | Unit
"""One statement by itself, or within a transaction."""

_COLUMNS: Final = "key_id, organization_id, kind, label, created_at, revoked_at, expires_at, replaces_key_id"

_INSERT: Final = f"""
INSERT INTO api_keys (key_id, organization_id, kind, label, key_hash, request_id, traceparent, replaces_key_id)
SELECT $1, o.organization_id, $3, $4, $5, $6, $7, $8 FROM organizations o WHERE o.organization_id = $2
RETURNING {_COLUMNS}
"""  # noqa: S608 - no value is put into the text

_LIST: Final = f"""
SELECT {_COLUMNS}
  FROM api_keys WHERE organization_id = $1 AND ($2 = '' OR key_id < $2) ORDER BY key_id DESC LIMIT $3
"""  # noqa: S608 - no value is put into the text

_REVOKE: Final = f"""
UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE key_id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608 - no value is put into the text

# Of two at once the second waits for the first, and then finds an end.
_END: Final = f"""
UPDATE api_keys SET expires_at = clock_timestamp() + make_interval(secs => $3)
 WHERE key_id = $1 AND ($2 = '' OR organization_id = $2) AND revoked_at IS NULL AND expires_at IS NULL
RETURNING {_COLUMNS}
"""  # noqa: S608 - no value is put into the text

_READ_ENDED: Final = """
SELECT revoked_at, (SELECT later.key_id FROM api_keys later WHERE later.replaces_key_id = key.key_id) AS successor_id
  FROM api_keys key WHERE key_id = $1 AND ($2 = '' OR organization_id = $2)
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
    expires_at: datetime | None
    replaces_key_id: str | None
    """The key in whose place it was made."""


@dataclass(frozen=True, slots=True)
class EndedKey:
    """Why a key cannot be given an end: it has one."""

    is_revoked: bool
    successor_id: str | None


async def insert_key(
    statements: Statements,
    context: CallContext,
    *,
    key_id: str,
    kind: KeyKind,
    label: str,
    key_hash: bytes,
    replaces_key_id: str | None = None,
) -> StoredKey | None:
    """Stores a key of the context's organization; None where there is no such organization."""
    row = await statements.fetch_row(
        _INSERT,
        key_id,
        context.organization_id,
        kind.value,
        label,
        key_hash,
        context.request_id,
        context.traceparent,
        replaces_key_id,
    )
    return None if row is None else _stored_key(row)


async def list_keys(database: Database, organization_id: str, *, before: str, limit: int) -> Sequence[StoredKey]:
    """An organization's keys, newest first, older than the key id `before` where that is given."""
    return [_stored_key(row) for row in await database.fetch(_LIST, organization_id, before, limit)]


async def revoke_key(unit: Unit, key_id: str) -> StoredKey | None:
    """Revokes a key for good and tells the replicas; None where there is none. A repeat changes nothing."""
    row = await unit.fetch_row(_REVOKE, key_id)
    if row is None:
        return None
    await notify_changed(unit)
    return _stored_key(row)


async def end_key(unit: Unit, key_id: str, organization_id: str, *, seconds: float) -> StoredKey | EndedKey | None:
    """Gives a key its end, so many seconds from now by the database's clock, and tells the replicas.

    An organization that is stated must be the key's. None where there is none; an EndedKey where it ends already.
    """
    row = await unit.fetch_row(_END, key_id, organization_id, seconds)
    if row is not None:
        await notify_changed(unit)
        return _stored_key(row)
    ended = await unit.fetch_row(_READ_ENDED, key_id, organization_id)
    return None if ended is None else EndedKey(ended["revoked_at"] is not None, ended["successor_id"])


def _stored_key(row: Any) -> StoredKey:
    return StoredKey(
        key_id=row["key_id"],
        organization_id=row["organization_id"],
        kind=KeyKind(row["kind"]),
        label=row["label"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        expires_at=row["expires_at"],
        replaces_key_id=row["replaces_key_id"],
    )
