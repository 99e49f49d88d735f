"""Owns reading reports for the daily close: those on trades by trade id, those of money by event id.

Ids are compared by bytes (`COLLATE "C"`), whatever the database's own order is: other owners' facts meet them.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from poolkit.database import Database, Record

_UTC_DATE: Final = "(received_at AT TIME ZONE 'UTC')::date"

# Both halves have an index in the order of the keys: a page reads a page of each. UNION, for both may know a webhook.
REPORTS: Final = f"""
SELECT webhook_id FROM (
    (SELECT transact_id COLLATE "C" AS trade_id, webhook_id COLLATE "C" AS webhook_id FROM webhooks
     WHERE {_UTC_DATE} = $1 AND transact_id <> ''
       AND (transact_id COLLATE "C", webhook_id COLLATE "C") > ($2, $3)
     ORDER BY transact_id COLLATE "C", webhook_id COLLATE "C" LIMIT $4)
    UNION
    (SELECT overnight_transact_id COLLATE "C", webhook_id COLLATE "C" FROM webhook_attempts
     WHERE (created_at AT TIME ZONE 'UTC')::date = $1 AND overnight_transact_id <> ''
       AND (overnight_transact_id COLLATE "C", webhook_id COLLATE "C") > ($2, $3)
     ORDER BY overnight_transact_id COLLATE "C", webhook_id COLLATE "C" LIMIT $4)
) AS either ORDER BY trade_id, webhook_id LIMIT $4
"""  # noqa: S608 - constants only
PAYINS: Final = f"""
SELECT webhook_id FROM webhooks
WHERE {_UTC_DATE} = $1 AND payin_event_id <> ''
  AND (payin_event_id COLLATE "C", webhook_id COLLATE "C") > ($2, $3)
ORDER BY payin_event_id COLLATE "C", webhook_id COLLATE "C" LIMIT $4
"""  # noqa: S608 - constants only
_FACTS: Final = """
SELECT w.webhook_id, w.transact_id, w.payin_event_id, w.source, w.provider_event_id, w.kind, w.currency, w.amount,
       w.network_transaction_id, w.bank_transaction_id, w.funding_reference,
       CASE WHEN w.refusal_reason <> '' THEN 'conflict' WHEN held.webhook_id IS NULL THEN 'processed'
            WHEN held.given_up_at IS NULL THEN 'received' ELSE 'exception' END AS state,
       w.refusal_reason, w.signature_result, coalesce(w.first_webhook_id, ''), w.request_id, w.received_at,
       coalesce(last.number, 0), coalesce(last.effect, ''), coalesce(last.detail, ''),
       coalesce(last.organization_id, ''), last.created_at
FROM webhooks w LEFT JOIN unprocessed_webhooks held USING (webhook_id)
LEFT JOIN LATERAL (
    SELECT number, effect, detail, organization_id, created_at FROM webhook_attempts tried
    WHERE tried.webhook_id = w.webhook_id ORDER BY number DESC LIMIT 1
) AS last ON true
WHERE w.webhook_id = ANY ($1::text[])
"""


class Position(NamedTuple):
    """Where a fact stands: behind a trade or pay-in event, and one of its webhooks."""

    owner_id: str
    webhook_id: str


class Fact(NamedTuple):
    """What a source told, of a trade or of money, and what became of it. A day has very many: they stay tuples."""

    webhook_id: str
    transact_id: str
    payin_event_id: str
    source: str
    provider_event_id: str
    kind: str
    currency: str
    amount: Decimal | None
    network_transaction_id: str
    bank_transaction_id: str
    funding_reference: str
    state: str
    refusal_reason: str
    signature_result: str
    first_webhook_id: str
    request_id: str
    received_at: datetime
    attempt_count: int
    effect: str
    detail: str
    organization_id: str
    attempted_at: datetime | None

    @property
    def position(self) -> Position:
        """Its place in the order: only one of the two ids is ever there."""
        return Position(self.transact_id or self.payin_event_id, self.webhook_id)


async def list_reports(database: Database, received_on: date, *, after: Position, limit: int) -> list[Fact]:
    """Reports on trades received on the date, or received earlier and processed on it, behind `after`."""
    return await _facts(database, await database.fetch(REPORTS, received_on, *after, limit))


async def list_payins(database: Database, received_on: date, *, after: Position, limit: int) -> list[Fact]:
    """Reports of money received on the date, behind `after`."""
    return await _facts(database, await database.fetch(PAYINS, received_on, *after, limit))


async def _facts(database: Database, chosen: list[Record]) -> list[Fact]:
    ids = [row[0] for row in chosen]
    found = {row[0]: Fact(*row) for row in (await database.fetch(_FACTS, ids) if ids else ())}
    return [found[webhook_id] for webhook_id in ids]
