"""Deliveries that wait for an endpoint which stays disabled: given up after a while, so that they are bounded."""

from __future__ import annotations

from typing import Final, NamedTuple

from poolkit.database import Database

# An endpoint that is being enabled is left to who enables it; each that is given up here is locked, so that enabling
# it comes after. Only those of which something has waited for too long are looked at more closely.
GIVE_UP: Final = """
WITH shut AS MATERIALIZED (
    SELECT e.endpoint_id FROM webhook_endpoints e
     WHERE e.disabled_at <= now() - make_interval(secs => $1)
       AND EXISTS (SELECT 1 FROM deliveries d
                    WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending'
                      AND d.next_attempt_at <= now() - make_interval(secs => $1))
     ORDER BY e.endpoint_id LIMIT $2
       FOR SHARE OF e SKIP LOCKED
), waited AS (
    SELECT d.delivery_id
      FROM shut
      CROSS JOIN LATERAL (
          SELECT delivery_id FROM deliveries
           WHERE endpoint_id = shut.endpoint_id AND state = 'pending'
             AND next_attempt_at <= now() - make_interval(secs => $1)
           ORDER BY next_attempt_at LIMIT $2
             FOR UPDATE SKIP LOCKED
      ) d
     LIMIT $2
), given_up AS (
    UPDATE deliveries d SET state = 'dead' FROM waited WHERE d.delivery_id = waited.delivery_id
    RETURNING d.endpoint_id, d.organization_id
)
SELECT endpoint_id, organization_id, count(*) AS count FROM given_up GROUP BY 1, 2
"""


class GivenUp(NamedTuple):
    """How many deliveries of an endpoint have waited in vain."""

    endpoint_id: str
    organization_id: str
    deliveries: int


async def give_up(database: Database, *, waiting_seconds_max: float, limit: int) -> list[GivenUp]:
    """Makes dead what has been due for so long at endpoints disabled for so long, `limit` at most. Safe to repeat."""
    return [GivenUp(*row) for row in await database.fetch(GIVE_UP, waiting_seconds_max, limit)]
