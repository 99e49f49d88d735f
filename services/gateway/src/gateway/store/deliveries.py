"""Tables `terminal_events`, `deliveries` and `delivery_attempts`: what came, what goes out of it, and how that went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.deliveries import Attempt, ClaimedDelivery, DisabledReason, TerminalEvent
from poolkit.database import Database, Unit

DUE_CHANNEL: Final = "gateway_deliveries"
"""Notified once a batch when deliveries were queued."""

_INSERT_EVENTS: Final = """
INSERT INTO terminal_events (
    event_id, type, organization_id, trade_id, quote_id, client_reference, request_id, traceparent, occurred_at, body,
    source
)
SELECT event_id, type, organization_id, trade_id, quote_id, nullif(client_reference, ''), request_id, traceparent,
       timestamptz 'epoch' + occurred * interval '1 microsecond', nullif(body, ''::bytea), source
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::bigint[], $10::bytea[], $11::text[])
       AS event (event_id, type, organization_id, trade_id, quote_id, client_reference, request_id, traceparent,
                 occurred, body, source)
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
"""

_QUEUE: Final = f"""
WITH queued AS (
    INSERT INTO deliveries (
        delivery_id, event_id, endpoint_id, organization_id, type, request_id, traceparent, next_attempt_at
    )
    SELECT item.delivery_id, item.event_id, item.endpoint_id, event.organization_id, event.type, event.request_id,
           event.traceparent, clock_timestamp() + $4 * interval '1 second'
      FROM unnest($1::text[], $2::text[], $3::text[]) AS item (delivery_id, event_id, endpoint_id)
      JOIN terminal_events event USING (event_id)
    ON CONFLICT (event_id, endpoint_id) DO NOTHING
    RETURNING 1
)
SELECT pg_notify('{DUE_CHANNEL}', '') FROM queued LIMIT 1
"""  # noqa: S608 - constants only

# Endpoints with something pending are found by hopping through the index, one hop an endpoint, however much waits.
# Of failing endpoints any few are looked at, so that none of them always comes last.
# Claiming pushes the next attempt beyond the time one may take: who dies meanwhile leaves a delivery that is due again.
_CLAIM: Final = """
WITH RECURSIVE waiting (endpoint_id) AS (
    (SELECT endpoint_id FROM deliveries WHERE state = 'pending' AND endpoint_id > $6 ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.endpoint_id FROM deliveries d
             WHERE d.state = 'pending' AND d.endpoint_id > w.endpoint_id ORDER BY d.endpoint_id LIMIT 1)
      FROM waiting w WHERE w.endpoint_id IS NOT NULL
), open AS MATERIALIZED (
    SELECT endpoint_id, failing
      FROM (SELECT w.endpoint_id, endpoint.failing,
                   row_number() OVER (PARTITION BY endpoint.failing ORDER BY random()) AS place
              FROM waiting w
              CROSS JOIN LATERAL (
                  SELECT e.failing_since IS NOT NULL AS failing FROM webhook_endpoints e
                   WHERE e.endpoint_id = w.endpoint_id AND e.disabled_at IS NULL LIMIT 1
              ) endpoint
             WHERE w.endpoint_id <> ALL ($1::text[])) candidate
     WHERE place <= $7 OR NOT failing
     ORDER BY endpoint_id
), due AS (
    SELECT d.delivery_id, open.failing
      FROM open
      CROSS JOIN LATERAL (
          SELECT delivery_id FROM deliveries
           WHERE endpoint_id = open.endpoint_id AND state = 'pending' AND next_attempt_at <= now()
           ORDER BY next_attempt_at
           LIMIT CASE WHEN open.failing OR open.endpoint_id = ANY ($2::text[]) THEN 1 ELSE $3 END
             FOR UPDATE SKIP LOCKED
      ) d
     LIMIT $4
)
UPDATE deliveries d
   SET attempt_count = d.attempt_count + 1, next_attempt_at = clock_timestamp() + $5 * interval '1 second'
  FROM due, terminal_events event, webhook_endpoints endpoint
 WHERE d.delivery_id = due.delivery_id AND event.event_id = d.event_id AND endpoint.endpoint_id = d.endpoint_id
RETURNING d.delivery_id, d.endpoint_id, d.attempt_count, d.earlier_attempts, d.event_id, endpoint.url, event.body,
          d.request_id, d.traceparent, due.failing,
          ARRAY(SELECT s.encrypted_secret FROM webhook_secrets s
                 WHERE s.endpoint_id = d.endpoint_id AND (s.expires_at IS NULL OR s.expires_at > now())
                 ORDER BY s.number DESC) AS encrypted_secrets
"""

# An endpoint is written to only when its health changes, so that what goes well costs it nothing. Rows are locked in
# the order of their ids, so that two senders never wait for each other. A delivery's state is compared so that the
# index of pending ones is not used: each of them would be compared with each attempt (ADR 13).
_FINISH: Final = """
WITH done AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::text[], $6::integer[], $7::text[],
                         $8::float8[], $9::boolean[], $10::boolean[])
             AS attempt (delivery_id, endpoint_id, number, status_code, failure, duration_ms, state, retry_seconds,
                         succeeded, gone)
), recorded AS (
    INSERT INTO delivery_attempts (delivery_id, number, status_code, failure, duration_ms)
    SELECT delivery_id, number, nullif(status_code, 0), nullif(failure, ''), duration_ms FROM done
    ON CONFLICT (delivery_id, number) DO NOTHING
), moved AS (
    UPDATE deliveries d
       SET state = done.state,
           last_status_code = nullif(done.status_code, 0),
           next_attempt_at = clock_timestamp() + done.retry_seconds * interval '1 second',
           delivered_at = CASE WHEN done.state = 'delivered' THEN clock_timestamp() END
      FROM done
     WHERE d.delivery_id = done.delivery_id AND d.attempt_count = done.number AND d.state || '' = 'pending'
), health AS (
    SELECT endpoint_id, bool_or(succeeded) AS well, bool_or(gone) AS gone FROM done GROUP BY endpoint_id
), changed AS (
    SELECT endpoint.endpoint_id, health.well,
           CASE WHEN health.gone THEN 'gone'
                WHEN NOT health.well AND endpoint.failing_since <= now() - $11 * interval '1 second' THEN 'failing'
           END AS reason
      FROM webhook_endpoints endpoint JOIN health USING (endpoint_id)
     WHERE endpoint.disabled_at IS NULL
       AND CASE WHEN health.gone THEN true
                WHEN health.well THEN endpoint.failing_since IS NOT NULL
                ELSE endpoint.failing_since IS NULL OR endpoint.failing_since <= now() - $11 * interval '1 second'
           END
     ORDER BY endpoint.endpoint_id
       FOR NO KEY UPDATE OF endpoint
), noted AS (
    UPDATE webhook_endpoints endpoint
       SET failing_since = CASE WHEN NOT changed.well THEN coalesce(failing_since, clock_timestamp()) END,
           disabled_at = CASE WHEN changed.reason IS NOT NULL THEN clock_timestamp() END,
           disabled_reason = changed.reason
      FROM changed
     WHERE endpoint.endpoint_id = changed.endpoint_id
    RETURNING endpoint.endpoint_id, endpoint.organization_id, endpoint.disabled_reason
)
SELECT endpoint_id, organization_id, disabled_reason FROM noted WHERE disabled_reason IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class DisabledEndpoint:
    """An endpoint that the last attempts have disabled."""

    endpoint_id: str
    organization_id: str
    reason: DisabledReason


async def insert_new_events(unit: Unit, events: Sequence[TerminalEvent]) -> set[str]:
    """Stores the events that are not there yet and answers their ids."""
    columns = (
        [event.event_id for event in events],
        [event.type for event in events],
        [event.organization_id for event in events],
        [event.trade_id for event in events],
        [event.quote_id for event in events],
        [event.client_reference for event in events],
        [event.request_id for event in events],
        [event.traceparent for event in events],
        [event.occurred_microseconds for event in events],
        [event.body for event in events],
        [event.source for event in events],
    )
    return {row["event_id"] for row in await unit.fetch(_INSERT_EVENTS, *columns)}


async def queue_deliveries(unit: Unit, items: Sequence[tuple[str, str, str]], first_delay_seconds: float) -> None:
    """Queues (delivery id, event id, endpoint id), each event once an endpoint, and wakes the sender on commit."""
    if items:
        delivery_ids, event_ids, endpoint_ids = zip(*items, strict=True)
        await unit.fetch(_QUEUE, delivery_ids, event_ids, endpoint_ids, first_delay_seconds)


async def claim_due(
    database: Database,
    *,
    closed: Sequence[str],
    narrow: Sequence[str],
    endpoint_max: int,
    count_max: int,
    failing_max: int,
    claim_seconds: float,
    after: str = "",
) -> list[ClaimedDelivery]:
    """Takes deliveries that are due, endpoint by endpoint in the order of their ids; nobody else gets them meanwhile.

    It begins behind the endpoint `after`, leaves those in `closed` alone, and takes one of each that is in `narrow`,
    one of each that fails, `failing_max` of those at most, and of others up to `endpoint_max`.
    """
    rows = await database.fetch(
        _CLAIM, list(closed), list(narrow), endpoint_max, count_max, claim_seconds, after, failing_max
    )
    return [
        ClaimedDelivery(
            delivery_id=row["delivery_id"],
            endpoint_id=row["endpoint_id"],
            number=row["attempt_count"],
            event_id=row["event_id"],
            url=row["url"],
            encrypted_secrets=tuple(row["encrypted_secrets"]),
            body=row["body"],
            request_id=row["request_id"],
            traceparent=row["traceparent"],
            earlier_attempts=row["earlier_attempts"],
            failing=row["failing"],
        )
        for row in rows
    ]


async def finish_attempts(
    database: Database, attempts: Sequence[Attempt], *, failing_seconds_max: float
) -> list[DisabledEndpoint]:
    """Records the attempts and moves their deliveries on; one whose claim ran out is recorded and moves nothing.

    Disables, and answers, the endpoints that are gone or at which nothing has succeeded for so many seconds.
    """
    rows = await database.fetch(
        _FINISH,
        [attempt.delivery_id for attempt in attempts],
        [attempt.endpoint_id for attempt in attempts],
        [attempt.number for attempt in attempts],
        [attempt.result.status_code for attempt in attempts],
        [attempt.result.failure for attempt in attempts],
        [attempt.result.duration_ms for attempt in attempts],
        [attempt.state.value for attempt in attempts],
        [attempt.retry_seconds for attempt in attempts],
        [attempt.result.succeeded for attempt in attempts],
        [attempt.result.gone for attempt in attempts],
        failing_seconds_max,
    )
    return [
        DisabledEndpoint(row["endpoint_id"], row["organization_id"], DisabledReason(row["disabled_reason"]))
        for row in rows
    ]
