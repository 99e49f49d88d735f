"""Owns the table `webhooks`, and entering new ones into `unprocessed_webhooks`: one statement for a whole batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from poolkit.database import Database
from webhook_ingest.domain.events import ProviderEvent, payin_event_id
from webhook_ingest.domain.repeats import Earlier

REPORT_LANE: Final = "report"
PAYIN_LANE: Final = "payin"


class Incoming(NamedTuple):
    """A webhook that was verified and read, about to be stored."""

    webhook_id: str
    source: str
    event: ProviderEvent
    fingerprint: bytes
    body: bytes
    request_id: str
    traceparent: str
    signature_result: str = "valid"
    """Or `polled`, for what the provider answered when asked."""

    @property
    def lane(self) -> str:
        """Who processes it."""
        return PAYIN_LANE if self.event.is_payin else REPORT_LANE


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A stored webhook with the number of the try that this process has claimed."""

    webhook_id: str
    source: str
    event: ProviderEvent
    request_id: str
    traceparent: str
    received_at: datetime
    attempt_number: int


class Collision(NamedTuple):
    """What was there before, where a webhook could not be stored as a new one."""

    event: Earlier | None
    payin: Earlier | None


class Echo(NamedTuple):
    """A webhook to store that has no effect of its own, beside the one it repeats."""

    incoming: Incoming
    first_webhook_id: str
    refusal_reason: str
    """Empty for the same pay-in again; else the code of the conflict."""


_COLUMNS = """webhook_id, source, provider_event_id, kind, transact_id, network_transaction_id, currency, amount,
    funding_reference, bank_transaction_id, payin_event_id, occurred_at, fingerprint, body, request_id, traceparent,
    signature_result"""
_ARRAYS = """$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::numeric[],
    $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::bytea[], $14::bytea[], $15::text[], $16::text[],
    $17::text[]"""

# A claimed one is tried by whoever stores it, at once; the others are due, for whoever looks first.
_STORE = f"""
WITH stored AS (
    INSERT INTO webhooks ({_COLUMNS})
    SELECT * FROM unnest({_ARRAYS})
    ON CONFLICT DO NOTHING
    RETURNING webhook_id, received_at
), entered AS (
    INSERT INTO unprocessed_webhooks (webhook_id, lane, attempt_number, under_way, next_attempt_at)
    SELECT webhook_id, lane, claimed::integer, claimed,
           clock_timestamp() + CASE WHEN claimed THEN make_interval(secs => $20) ELSE interval '0' END
    FROM stored JOIN unnest($1::text[], $18::text[], $19::boolean[]) AS given (webhook_id, lane, claimed)
         USING (webhook_id)
)
SELECT webhook_id, received_at FROM stored
"""  # noqa: S608 - constants only

_COLLISIONS = """
SELECT given.position, event.webhook_id AS event_id, event.fingerprint AS event_fingerprint,
       coalesce(event.first_webhook_id, event.webhook_id) AS event_first,
       payin.webhook_id AS payin_id, payin.fingerprint AS payin_fingerprint
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[])
     AS given (position, source, provider_event_id, bank_transaction_id)
LEFT JOIN webhooks event ON event.provider_event_id = given.provider_event_id AND event.source = given.source
     AND event.refusal_reason = ''
LEFT JOIN webhooks payin ON payin.bank_transaction_id = given.bank_transaction_id AND payin.source = given.source
     AND payin.bank_transaction_id <> '' AND payin.first_webhook_id IS NULL
"""

# A conflict that is posted again and again is kept once, and so is an event that repeats a pay-in.
_STORE_ECHOES = f"""
INSERT INTO webhooks ({_COLUMNS}, first_webhook_id, refusal_reason)
SELECT * FROM unnest({_ARRAYS}, $18::text[], $19::text[])
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants only


async def store(
    database: Database, batch: Sequence[Incoming], claims: Sequence[bool], claim_seconds: float
) -> dict[str, datetime]:
    """Stores what is new, and enters it for processing; answers when each was received, by webhook id.

    What is missing in the answer collided with an earlier webhook; of two in the batch the first one wins. Sort the
    batch by event id, so that two replicas never wait for each other. Durable when it returns.
    """
    rows = await database.fetch(_STORE, *_arrays(batch), [item.lane for item in batch], list(claims), claim_seconds)
    return {row[0]: row[1] for row in rows}


async def find_collisions(database: Database, batch: Sequence[Incoming]) -> list[Collision]:
    """What each of these collided with. Both sides are empty when the other transaction is gone again."""
    rows = await database.fetch(
        _COLLISIONS,
        list(range(len(batch))),
        [item.source for item in batch],
        [item.event.event_id for item in batch],
        [item.event.bank_transaction_id for item in batch],
    )
    found: dict[int, Collision] = {}
    for position, event_id, event_fingerprint, event_first, payin_id, payin_fingerprint in rows:
        found[position] = Collision(
            Earlier(event_first, event_fingerprint) if event_id else None,
            Earlier(payin_id, payin_fingerprint) if payin_id else None,
        )
    return [found[position] for position in range(len(batch))]


async def store_echoes(database: Database, echoes: Sequence[Echo]) -> None:
    """Stores repeats of pay-ins and conflicts. Safe to repeat."""
    await database.execute(
        _STORE_ECHOES,
        *_arrays([echo.incoming for echo in echoes]),
        [echo.first_webhook_id for echo in echoes],
        [echo.refusal_reason for echo in echoes],
    )


def _arrays(batch: Sequence[Incoming]) -> tuple[Sequence[Any], ...]:
    return tuple(zip(*map(_row, batch), strict=True))


def _row(item: Incoming) -> tuple[Any, ...]:
    event = item.event
    return (
        item.webhook_id,
        item.source,
        event.event_id,
        event.kind,
        event.transact_id,
        event.network_transaction_id,
        event.currency,
        event.amount,
        event.funding_reference,
        event.bank_transaction_id,
        payin_event_id(item.source, event.bank_transaction_id) if event.is_payin else "",
        event.occurred_at,
        item.fingerprint,
        item.body,
        item.request_id,
        item.traceparent,
        item.signature_result,
    )
