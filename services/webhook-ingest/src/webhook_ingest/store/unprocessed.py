"""Owns claiming webhooks to try, and recording how each try ended: tables `unprocessed_webhooks`, `webhook_attempts`.

A claim is a number and a time: the number fences off whoever began an earlier try, the time says when others may begin
the next one. A claim that ran out is told of as a try that ended without a word.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from poolkit.database import Database, Record, Unit
from webhook_ingest.domain.events import Kind, ProviderEvent
from webhook_ingest.domain.processing import Ending, Retries
from webhook_ingest.store.webhooks import StoredWebhook

_CLAIM: Final = """
WITH due AS (
    SELECT webhook_id, attempt_number, under_way, next_attempt_at FROM unprocessed_webhooks
    WHERE lane = $1 AND given_up_at IS NULL AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), lost AS (
    INSERT INTO webhook_attempts
        (webhook_id, number, outcome, effect, detail, organization_id, request_id, traceparent, attempted_at)
    SELECT due.webhook_id, due.attempt_number, 'retry', '',
           'The process that made this try ended before it could say how it went.', '',
           webhooks.request_id, webhooks.traceparent, due.next_attempt_at - make_interval(secs => $3)
    FROM due JOIN webhooks USING (webhook_id) WHERE due.under_way
    ON CONFLICT DO NOTHING
), claimed AS (
    UPDATE unprocessed_webhooks AS held
    SET attempt_number = held.attempt_number + 1, under_way = true,
        next_attempt_at = clock_timestamp() + make_interval(secs => $3)
    WHERE held.webhook_id = ANY (ARRAY(SELECT webhook_id FROM due))
    RETURNING held.webhook_id, held.attempt_number
)
SELECT webhook_id, source, provider_event_id, kind, transact_id, network_transaction_id, currency, amount,
       funding_reference, bank_transaction_id, occurred_at, request_id, traceparent, received_at, attempt_number
FROM claimed JOIN webhooks USING (webhook_id) ORDER BY received_at, webhook_id
"""

# Whether a webhook is given up is decided here, by the database's clock and count. What is refused for good is due at
# no time any more. The ids are said once more, so that not all that waits is compared with each of them (ADR 13).
_FINISH: Final = """
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now
), given AS (
    SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::boolean[], $10::float8[], $14::text[], $15::timestamptz[], $16::boolean[])
    AS ending (webhook_id, number, outcome, effect, detail, organization_id, request_id, traceparent, refused, delay,
               transact_id, received_at, counted)
), processed AS (
    DELETE FROM unprocessed_webhooks AS held USING given
    WHERE given.outcome = 'processed' AND held.webhook_id = given.webhook_id AND held.attempt_number = given.number
      AND held.webhook_id = ANY ($1)
    RETURNING given.*, 'processed' AS ended
), kept AS (
    UPDATE unprocessed_webhooks AS held
    SET under_way = false, refused_count = held.refused_count + given.counted::integer,
        next_attempt_at = CASE WHEN given.outcome = 'exception' THEN 'infinity'
                               ELSE clock_timestamp() + make_interval(secs => given.delay) END,
        given_up_at = CASE
            WHEN given.outcome = 'exception'
              OR given.refused AND (given.counted AND held.refused_count + 1 >= $12
                                    OR held.stored_at <= now() - make_interval(secs => $13))
            THEN now() END
    FROM given
    WHERE given.outcome <> 'processed' AND held.webhook_id = given.webhook_id AND held.attempt_number = given.number
      AND held.webhook_id = ANY ($1)
    RETURNING given.*, CASE WHEN held.given_up_at IS NULL THEN 'retry' ELSE 'exception' END AS ended
)
INSERT INTO webhook_attempts
    (webhook_id, number, outcome, effect, detail, organization_id, overnight_transact_id, request_id, traceparent,
     attempted_at, created_at)
SELECT webhook_id, number, ended, effect, detail, organization_id,
       CASE WHEN ended <> 'retry'
             AND (received_at AT TIME ZONE 'UTC')::date < (clock.now AT TIME ZONE 'UTC')::date
            THEN transact_id ELSE '' END,
       request_id, traceparent, clock.now - make_interval(secs => $11), clock.now
FROM (SELECT * FROM processed UNION ALL SELECT * FROM kept) CROSS JOIN clock
ON CONFLICT DO NOTHING
RETURNING webhook_id, outcome
"""

# Only where tries had run out. What was refused for good would be refused again, as often as anybody repeats it.
_TAKE_UP_AGAIN: Final = """
WITH again AS (
    SELECT webhook_id FROM unprocessed_webhooks
    WHERE webhook_id = ANY ($1::text[]) AND given_up_at IS NOT NULL AND next_attempt_at < 'infinity'
    ORDER BY webhook_id FOR UPDATE
)
UPDATE unprocessed_webhooks AS held
SET given_up_at = NULL, refused_count = 0, stored_at = clock_timestamp(), next_attempt_at = clock_timestamp()
WHERE held.webhook_id = ANY (ARRAY(SELECT webhook_id FROM again))
RETURNING held.webhook_id
"""

_GIVE_BACK: Final = """
UPDATE unprocessed_webhooks AS held
SET attempt_number = held.attempt_number - 1, under_way = false, next_attempt_at = clock_timestamp()
FROM unnest($1::text[], $2::integer[]) AS given (webhook_id, number)
WHERE held.webhook_id = given.webhook_id AND held.attempt_number = given.number AND held.under_way
  AND held.webhook_id = ANY ($1)
"""

_BACKLOG: Final = """
SELECT count(*) FILTER (WHERE given_up_at IS NULL) AS waiting,
       count(*) FILTER (WHERE given_up_at IS NOT NULL) AS exceptions,
       coalesce(extract(epoch FROM clock_timestamp() - min(stored_at) FILTER (WHERE given_up_at IS NULL)), 0)::float8
           AS seconds
FROM unprocessed_webhooks WHERE lane = $1
"""


class Finish(NamedTuple):
    """How one try ended, to be recorded."""

    webhook: StoredWebhook
    ending: Ending
    traceparent: str
    """Of the try."""


class Backlog(NamedTuple):
    """What is not processed yet."""

    waiting: int
    exceptions: int
    seconds: float
    """Age of the oldest that waits."""


async def claim(database: Database, lane: str, limit: int, claim_seconds: float) -> list[StoredWebhook]:
    """Claims webhooks that are due, the longest due first, for one try each; nobody else gets them meanwhile."""
    rows = await database.fetch(_CLAIM, lane, limit, claim_seconds)
    return [_stored(row) for row in rows]


async def finish(
    connection: Database | Unit, finishes: Sequence[Finish], retries: Retries, elapsed_seconds: float
) -> dict[str, str]:
    """Records how tries ended; answers the outcome of each that was still this process's to end, by webhook id."""
    rows = await connection.fetch(
        _FINISH,
        [finish.webhook.webhook_id for finish in finishes],
        [finish.webhook.attempt_number for finish in finishes],
        [finish.ending.outcome for finish in finishes],
        [finish.ending.effect for finish in finishes],
        [finish.ending.detail for finish in finishes],
        [finish.ending.organization_id for finish in finishes],
        [finish.ending.request_id or finish.webhook.request_id for finish in finishes],
        [finish.traceparent for finish in finishes],
        [finish.ending.refused for finish in finishes],
        [retries.delay_seconds(finish.webhook.attempt_number) for finish in finishes],
        elapsed_seconds,
        retries.refusals_max,
        retries.age_seconds_max,
        [finish.webhook.event.transact_id for finish in finishes],
        [finish.webhook.received_at for finish in finishes],
        [finish.ending.counted for finish in finishes],
    )
    return {row[0]: row[1] for row in rows}


async def take_up_again(database: Database, webhook_ids: Sequence[str]) -> list[str]:
    """Makes due what was given up for want of a yes, with all its tries anew; answers which. The rest stays."""
    return [row[0] for row in await database.fetch(_TAKE_UP_AGAIN, list(webhook_ids))]


async def give_back(database: Database, webhooks: Sequence[StoredWebhook]) -> None:
    """Lets go of claims whose try has not begun: they are due at once, for anyone."""
    await database.execute(
        _GIVE_BACK,
        [webhook.webhook_id for webhook in webhooks],
        [webhook.attempt_number for webhook in webhooks],
    )


async def measure(database: Database, lane: str) -> Backlog:
    """How much waits, and for how long."""
    row = await database.fetch_row(_BACKLOG, lane)
    return Backlog(row["waiting"], row["exceptions"], row["seconds"]) if row else Backlog(0, 0, 0.0)


def _stored(row: Record) -> StoredWebhook:
    return StoredWebhook(
        webhook_id=row["webhook_id"],
        source=row["source"],
        event=ProviderEvent(
            event_id=row["provider_event_id"],
            kind=Kind(row["kind"]),
            occurred_at=row["occurred_at"],
            transact_id=row["transact_id"],
            network_transaction_id=row["network_transaction_id"],
            currency=row["currency"],
            amount=row["amount"],
            funding_reference=row["funding_reference"],
            bank_transaction_id=row["bank_transaction_id"],
        ),
        request_id=row["request_id"],
        traceparent=row["traceparent"],
        received_at=row["received_at"],
        attempt_number=row["attempt_number"],
    )
