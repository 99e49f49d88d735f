"""Owns pay-ins without a known reference, and whose they were found to be: table `unallocated_payins`."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from poolkit.database import Database, Record, Unit
from webhook_ingest.domain.allocations import Allocation

_KEEP: Final = """
INSERT INTO unallocated_payins (payin_event_id, webhook_id)
SELECT payin_event_id, webhook_id FROM webhooks WHERE webhook_id = ANY ($1::text[])
ON CONFLICT DO NOTHING
"""

_FIELDS: Final = """
SELECT kept.*, webhooks.source, webhooks.bank_transaction_id, webhooks.funding_reference, webhooks.currency,
       webhooks.amount, webhooks.received_at, webhooks.request_id AS payin_request_id
FROM unallocated_payins kept JOIN webhooks USING (webhook_id)
"""
OPEN: Final = f"{_FIELDS} WHERE allocated_at IS NULL AND webhook_id > $1 ORDER BY webhook_id LIMIT $2"
LOCK: Final = f"{_FIELDS} WHERE kept.payin_event_id = $1 FOR UPDATE OF kept"

# A pay-in told twice has one event, whichever of its webhooks is named.
EVENTS_OF: Final = """
SELECT payin_event_id FROM webhooks WHERE payin_event_id = $1 AND payin_event_id <> '' AND refusal_reason = ''
UNION SELECT payin_event_id FROM webhooks WHERE webhook_id = $1 AND payin_event_id <> '' AND refusal_reason = ''
UNION SELECT payin_event_id FROM webhooks
      WHERE provider_event_id = $1 AND payin_event_id <> '' AND refusal_reason = ''
UNION SELECT payin_event_id FROM webhooks
      WHERE bank_transaction_id = $1 AND bank_transaction_id <> '' AND first_webhook_id IS NULL
LIMIT 2
"""
_CREDITED: Final = "SELECT key FROM outbox WHERE event_id = $1"

_ALLOCATE: Final = """
UPDATE unallocated_payins
SET organization_id = $2, allocated_by = $3, allocation_reason = $4, allocation_event_id = $5, request_id = $6,
    traceparent = $7, allocated_at = clock_timestamp()
WHERE payin_event_id = $1 AND allocated_at IS NULL
RETURNING allocated_at
"""

# Who paid exactly so much before, the last time first.
SAME_AMOUNT: Final = """
SELECT DISTINCT ON (asked.webhook_id, told.key) asked.webhook_id, told.key AS organization_id, told.event_id
FROM webhooks asked
JOIN LATERAL (
    SELECT payin_event_id FROM webhooks earlier
    WHERE earlier.currency = asked.currency AND earlier.amount = asked.amount AND earlier.source = asked.source
      AND earlier.bank_transaction_id <> '' AND earlier.first_webhook_id IS NULL
      AND earlier.received_at BETWEEN asked.received_at - interval '90 days' AND asked.received_at
    ORDER BY earlier.received_at DESC LIMIT $3
) AS earlier ON true
JOIN outbox told ON told.event_id = earlier.payin_event_id
WHERE asked.webhook_id = ANY ($1::text[]) AND told.key <> $2
ORDER BY asked.webhook_id, told.key, told.sequence DESC
"""


class UnallocatedPayin(NamedTuple):
    """A pay-in that came without a known reference. What is said of its allocation is empty until then."""

    payin_event_id: str
    webhook_id: str
    source: str
    bank_transaction_id: str
    funding_reference: str
    currency: str
    amount: Decimal
    received_at: datetime
    organization_id: str
    allocation_event_id: str
    allocated_at: datetime | None


class EarlierPayin(NamedTuple):
    """Somebody's pay-in of the same amount."""

    organization_id: str
    event_id: str


async def keep_unallocated(unit: Unit, webhook_ids: Sequence[str]) -> None:
    """Notes that these pay-ins wait for a person. Safe to repeat."""
    if webhook_ids:
        await unit.execute(_KEEP, webhook_ids)


async def list_open(database: Database, *, after: str, limit: int) -> list[UnallocatedPayin]:
    """Those that wait, in the order in which they came, behind a webhook."""
    return [_payin(row) for row in await database.fetch(OPEN, after, limit)]


async def find_events(unit: Unit, payin_id: str) -> list[str]:
    """The events of pay-ins that have this id, two at most."""
    return [row["payin_event_id"] for row in await unit.fetch(EVENTS_OF, payin_id)]


async def credited_to(unit: Unit, payin_event_id: str) -> str:
    """The organization in the pay-in's event; empty where nobody has told of it yet."""
    return str(await unit.fetch_value(_CREDITED, payin_event_id) or "")


async def lock(unit: Unit, payin_event_id: str) -> UnallocatedPayin | None:
    """The pay-in, which nobody else allocates meanwhile; None for one whose reference was known."""
    row = await unit.fetch_row(LOCK, payin_event_id)
    return _payin(row) if row else None


async def allocate(
    unit: Unit, payin_event_id: str, allocation: Allocation, event_id: str, request_id: str, traceparent: str
) -> datetime:
    """Notes whose a locked pay-in is; answers when."""
    allocated_at: datetime = await unit.fetch_value(
        _ALLOCATE,
        payin_event_id,
        allocation.organization_id,
        allocation.allocated_by,
        allocation.reason,
        event_id,
        request_id,
        traceparent,
    )
    return allocated_at


async def same_amount(
    database: Database, webhook_ids: Sequence[str], *, nobody: str, limit: int
) -> dict[str, list[EarlierPayin]]:
    """Whose earlier pay-ins were of the same amount, by webhook; the last `limit` of each are looked at."""
    found: dict[str, list[EarlierPayin]] = {}
    for row in await database.fetch(SAME_AMOUNT, webhook_ids, nobody, limit):
        found.setdefault(row["webhook_id"], []).append(EarlierPayin(row["organization_id"], row["event_id"]))
    return found


def _payin(row: Record) -> UnallocatedPayin:
    return UnallocatedPayin(**{name: row[name] for name in UnallocatedPayin._fields})
