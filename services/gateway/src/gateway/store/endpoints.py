"""Tables `webhook_endpoints` and `webhook_secrets`: where events go, and what signs them (encrypted)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from gateway.domain.deliveries import DisabledReason
from gateway.store.deliveries import DUE_CHANNEL
from poolkit.context import CallContext
from poolkit.database import Database, Record, Unit

_INSERT: Final = """
WITH endpoint AS (
    INSERT INTO webhook_endpoints (endpoint_id, organization_id, url, request_id, traceparent)
    VALUES ($1, $2, $3, $5, $6)
)
INSERT INTO webhook_secrets (endpoint_id, number, encrypted_secret) VALUES ($1, 1, $4)
"""

# Whoever comes second counts, in a statement of its own, what the first has added.
_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))"
_IN_USE: Final = """
SELECT (SELECT count(*) FROM webhook_endpoints e
         WHERE e.organization_id = o.organization_id AND e.disabled_at IS NULL) AS in_use
  FROM organizations o WHERE o.organization_id = $1
"""

_ENDPOINTS_OF: Final = """
SELECT organization_id, endpoint_id FROM webhook_endpoints
 WHERE organization_id = ANY ($1::text[])
   AND (disabled_at IS NULL OR disabled_at > now() - make_interval(secs => $2))
 ORDER BY organization_id, endpoint_id
"""

_SELECT: Final = """
SELECT endpoint_id, organization_id, url, disabled_at, disabled_reason, failing_since, created_at,
       (SELECT count(*) FROM webhook_secrets s
         WHERE s.endpoint_id = e.endpoint_id AND (s.expires_at IS NULL OR s.expires_at > now())) AS active_secret_count
  FROM webhook_endpoints e
"""
_LIST: Final = f"{_SELECT} WHERE organization_id = $1 AND endpoint_id > $2 ORDER BY endpoint_id LIMIT $3"
_ONE: Final = f"{_SELECT} WHERE endpoint_id = $1"
_LOCK: Final = f"{_ONE} FOR NO KEY UPDATE"

_DISABLE: Final = """
UPDATE webhook_endpoints SET disabled_at = clock_timestamp(), disabled_reason = $2 WHERE endpoint_id = $1
RETURNING disabled_at
"""
_ENABLE: Final = """
UPDATE webhook_endpoints SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL WHERE endpoint_id = $1
"""
_NOTIFY: Final = f"SELECT pg_notify('{DUE_CHANNEL}', '')"

_END_SECRETS: Final = """
UPDATE webhook_secrets SET expires_at = least(expires_at, now() + make_interval(secs => $2))
 WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now())
"""
_ADD_SECRET: Final = """
INSERT INTO webhook_secrets (endpoint_id, number, encrypted_secret)
SELECT $1, max(number) + 1, $2 FROM webhook_secrets WHERE endpoint_id = $1
"""  # noqa: S105 - a statement


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """An endpoint as it is listed, without its secrets."""

    endpoint_id: str
    organization_id: str
    url: str
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    """The first failed attempt since the last one that succeeded."""
    created_at: datetime
    active_secret_count: int


async def lock_and_count(unit: Unit, organization_id: str) -> int | None:
    """How many endpoints the organization has in use, which nobody else adds to meanwhile; None where there is none."""
    await unit.fetch_value(_TAKE_TURN, organization_id)
    row = await unit.fetch_row(_IN_USE, organization_id)
    return row["in_use"] if row is not None else None


async def insert_endpoint(
    statements: Database | Unit, context: CallContext, *, endpoint_id: str, url: str, encrypted_secret: bytes
) -> None:
    """Adds an endpoint of the context's organization with its first secret."""
    await statements.execute(
        _INSERT,
        endpoint_id,
        context.organization_id,
        url,
        encrypted_secret,
        context.request_id,
        context.traceparent,
    )


async def endpoints_of(
    unit: Unit, organization_ids: Sequence[str], *, waiting_seconds_max: float
) -> dict[str, list[str]]:
    """The endpoints in use, and those disabled for no longer, for which deliveries wait; by organization."""
    found: dict[str, list[str]] = {}
    for row in await unit.fetch(_ENDPOINTS_OF, list(organization_ids), waiting_seconds_max):
        found.setdefault(row["organization_id"], []).append(row["endpoint_id"])
    return found


async def list_endpoints(
    database: Database, organization_id: str, *, after: str, limit: int
) -> Sequence[StoredEndpoint]:
    """An organization's endpoints, oldest first, those behind `after`."""
    return [_endpoint(row) for row in await database.fetch(_LIST, organization_id, after, limit)]


async def find_endpoint(statements: Database | Unit, endpoint_id: str) -> StoredEndpoint | None:
    """The endpoint as it is now."""
    row = await statements.fetch_row(_ONE, endpoint_id)
    return _endpoint(row) if row else None


async def lock_endpoint(unit: Unit, endpoint_id: str) -> StoredEndpoint | None:
    """The endpoint, which nobody else changes before this transaction has ended."""
    row = await unit.fetch_row(_LOCK, endpoint_id)
    return _endpoint(row) if row else None


async def disable_endpoint(unit: Unit, endpoint: StoredEndpoint, reason: DisabledReason) -> StoredEndpoint:
    """Posts nothing more to a locked endpoint; attempts under way end as they do."""
    disabled_at = await unit.fetch_value(_DISABLE, endpoint.endpoint_id, reason.value)
    return replace(endpoint, disabled_at=disabled_at, disabled_reason=reason)


async def enable_endpoint(unit: Unit, endpoint: StoredEndpoint) -> StoredEndpoint:
    """Posts to a locked endpoint again, what has waited first; senders are told at the commit."""
    await unit.execute(_ENABLE, endpoint.endpoint_id)
    await unit.fetch(_NOTIFY)
    return replace(endpoint, disabled_at=None, disabled_reason=None, failing_since=None)


async def rotate_secret(
    unit: Unit, endpoint: StoredEndpoint, encrypted_secret: bytes, overlap_seconds: int
) -> StoredEndpoint:
    """Adds a secret to a locked endpoint; those before it end after the overlap, or earlier where they would."""
    await unit.execute(_END_SECRETS, endpoint.endpoint_id, overlap_seconds)
    await unit.execute(_ADD_SECRET, endpoint.endpoint_id, encrypted_secret)
    rotated = await find_endpoint(unit, endpoint.endpoint_id)
    assert rotated is not None
    return rotated


def _endpoint(row: Record) -> StoredEndpoint:
    reason = row["disabled_reason"]
    return StoredEndpoint(**{**row, "disabled_reason": DisabledReason(reason) if reason else None})
