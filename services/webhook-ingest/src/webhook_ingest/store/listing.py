"""Owns reading webhooks back for people: what came, what became of it, and every try; never a body."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from poolkit.database import Database, Record

# One more than a page, taken from each place they lie in; ids sort by the time they were minted.
_ACCEPTED: Final = """
SELECT webhook_id, source, provider_event_id, kind, signature_result, refusal_reason,
       coalesce(first_webhook_id, '') AS first_webhook_id, encode(sha256(body), 'hex') AS body_sha256, received_at,
       CASE WHEN refusal_reason <> '' THEN 'conflict' WHEN held.webhook_id IS NULL THEN 'processed'
            WHEN held.given_up_at IS NULL THEN 'received' ELSE 'exception' END AS state
FROM {origin}
WHERE ($1 = '' OR source = $1) AND webhook_id < $2 {condition}
ORDER BY webhook_id DESC LIMIT $3
"""
_ALL: Final = "webhooks LEFT JOIN unprocessed_webhooks held USING (webhook_id)"
_HELD: Final = "unprocessed_webhooks held JOIN webhooks USING (webhook_id)"
_REJECTED: Final = """
SELECT webhook_id, source, '' AS provider_event_id, '' AS kind, signature_result, reason AS refusal_reason,
       '' AS first_webhook_id, encode(body_sha256, 'hex') AS body_sha256, received_at, 'rejected' AS state
FROM rejected_webhooks
WHERE ($1 = '' OR source = $1) AND webhook_id < $2
ORDER BY webhook_id DESC LIMIT $3
"""
_ATTEMPTS: Final = """
SELECT webhook_id, number, attempted_at, outcome, detail FROM webhook_attempts
WHERE webhook_id = ANY ($1::text[]) ORDER BY webhook_id, number
"""
_LAST: Final = "~"
"""Sorts behind every id."""


class State(StrEnum):
    """What became of a webhook."""

    RECEIVED = "received"
    PROCESSED = "processed"
    EXCEPTION = "exception"
    REJECTED = "rejected"
    CONFLICT = "conflict"


_QUERIES: Final[dict[State, str]] = {
    State.RECEIVED: _ACCEPTED.format(origin=_HELD, condition="AND held.given_up_at IS NULL"),
    State.EXCEPTION: _ACCEPTED.format(origin=_HELD, condition="AND held.given_up_at IS NOT NULL"),
    State.PROCESSED: _ACCEPTED.format(origin=_ALL, condition="AND refusal_reason = '' AND held.webhook_id IS NULL"),
    State.CONFLICT: _ACCEPTED.format(origin=_ALL, condition="AND refusal_reason <> ''"),
    State.REJECTED: _REJECTED,
}
_EVERY_STATE: Final = (_ACCEPTED.format(origin=_ALL, condition=""), _REJECTED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try."""

    number: int
    attempted_at: datetime
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class WebhookView:
    """One webhook as people see it."""

    webhook_id: str
    source: str
    provider_event_id: str
    kind: str
    state: State
    signature_result: str
    refusal_reason: str
    first_webhook_id: str
    body_sha256: str
    received_at: datetime
    attempts: tuple[Attempt, ...]


async def list_page(
    database: Database, *, source: str, state: State | None, before: str, limit: int
) -> Sequence[WebhookView]:
    """Webhooks before `before` (empty: all), newest first, with their tries."""
    queries = (_QUERIES[state],) if state else _EVERY_STATE
    rows = [row for query in queries for row in await database.fetch(query, source, before or _LAST, limit)]
    page = sorted(rows, key=lambda row: str(row["webhook_id"]), reverse=True)[:limit]
    attempts: dict[str, list[Attempt]] = {}
    for row in await database.fetch(_ATTEMPTS, [row["webhook_id"] for row in page]):
        attempt = Attempt(row["number"], row["attempted_at"], row["outcome"], row["detail"])
        attempts.setdefault(row["webhook_id"], []).append(attempt)
    return [_view(row, tuple(attempts.get(row["webhook_id"], ()))) for row in page]


def _view(row: Record, attempts: tuple[Attempt, ...]) -> WebhookView:
    return WebhookView(
        webhook_id=row["webhook_id"],
        source=row["source"],
        provider_event_id=row["provider_event_id"],
        kind=row["kind"],
        state=State(row["state"]),
        signature_result=row["signature_result"],
        refusal_reason=row["refusal_reason"],
        first_webhook_id=row["first_webhook_id"],
        body_sha256=row["body_sha256"],
        received_at=row["received_at"],
        attempts=attempts,
    )
