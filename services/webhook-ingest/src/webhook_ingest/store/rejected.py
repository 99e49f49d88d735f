"""Owns the table `rejected_webhooks`: what was refused, kept for a while so that a person can find out why."""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from poolkit.database import Database

BODY_HEAD_BYTES: Final = 4096
"""How much of a refused body is kept, beside its size and hash: anyone can post one, signed or not."""


class Rejection(NamedTuple):
    """A webhook that was refused."""

    webhook_id: str
    source: str
    reason: str
    """The code of the catalogue."""
    signature_result: str
    """`valid`, or the code of what is wrong with the signature."""
    detail: str
    body: bytes
    request_id: str
    traceparent: str


_INSERT: Final = """
INSERT INTO rejected_webhooks (webhook_id, source, reason, signature_result, detail, body_head, body_bytes, body_sha256,
                               request_id, traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::integer[],
                     $8::bytea[], $9::text[], $10::text[])
ON CONFLICT DO NOTHING
"""

_PURGE: Final = """
WITH old AS (
    SELECT webhook_id FROM rejected_webhooks WHERE received_at < now() - make_interval(days => $1)
    ORDER BY received_at LIMIT $2
)
DELETE FROM rejected_webhooks USING old WHERE rejected_webhooks.webhook_id = old.webhook_id RETURNING 1
"""


async def keep(database: Database, batch: Sequence[Rejection]) -> None:
    """Stores refused webhooks: the head of each body, its size and its hash."""
    await database.execute(
        _INSERT,
        [item.webhook_id for item in batch],
        [item.source for item in batch],
        [item.reason for item in batch],
        [item.signature_result for item in batch],
        [item.detail for item in batch],
        [item.body[:BODY_HEAD_BYTES] for item in batch],
        [len(item.body) for item in batch],
        [hashlib.sha256(item.body).digest() for item in batch],
        [item.request_id for item in batch],
        [item.traceparent for item in batch],
    )


async def purge(database: Database, days: int, limit: int) -> int:
    """Deletes the oldest that are older than `days`, at most `limit`; answers how many."""
    return len(await database.fetch(_PURGE, days, limit))
