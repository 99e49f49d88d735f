"""Tables `webhook_endpoints` and `webhook_secrets`: where events go, and what signs them (encrypted)."""

from collections.abc import Sequence
from typing import Final

from poolkit.context import CallContext
from poolkit.database import Database, Unit

_INSERT: Final = """
WITH endpoint AS (
    INSERT INTO webhook_endpoints (endpoint_id, organization_id, url, request_id, traceparent)
    SELECT $1, o.organization_id, $3, $5, $6 FROM organizations o WHERE o.organization_id = $2
    RETURNING endpoint_id
)
INSERT INTO webhook_secrets (endpoint_id, number, encrypted_secret) SELECT endpoint_id, 1, $4 FROM endpoint
RETURNING endpoint_id
"""

_ACTIVE_OF: Final = """
SELECT organization_id, endpoint_id FROM webhook_endpoints
 WHERE organization_id = ANY ($1::text[]) AND disabled_at IS NULL ORDER BY organization_id, endpoint_id
"""


async def insert_endpoint(
    database: Database, context: CallContext, *, endpoint_id: str, url: str, encrypted_secret: bytes
) -> bool:
    """Adds an endpoint of the context's organization with its first secret; False where there is no organization."""
    row = await database.fetch_row(
        _INSERT,
        endpoint_id,
        context.organization_id,
        url,
        encrypted_secret,
        context.request_id,
        context.traceparent,
    )
    return row is not None


async def active_endpoints(unit: Unit, organization_ids: Sequence[str]) -> dict[str, list[str]]:
    """The endpoints in use, by organization; organizations without one are left out."""
    found: dict[str, list[str]] = {}
    for row in await unit.fetch(_ACTIVE_OF, list(organization_ids)):
        found.setdefault(row["organization_id"], []).append(row["endpoint_id"])
    return found
