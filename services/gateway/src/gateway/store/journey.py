"""Finding this service's rows by any id they carry, for support. Every look-up is on an index."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from poolkit.database import Database, Record
from poolkit.journey import Awaited, JourneyRow

# Of one id that very many rows carry, a branch reads no more than this: an index gives the oldest first.
_BRANCH_MAX: Final = 5000

_CALLS: Final = f"""
SELECT * FROM request_log WHERE (writer_id, number) IN (
    (SELECT writer_id, number FROM request_log WHERE request_id = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
    UNION (SELECT writer_id, number FROM request_log WHERE idempotency_key = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
    UNION (SELECT writer_id, number FROM request_log WHERE quote_id = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
    UNION (SELECT writer_id, number FROM request_log WHERE trade_id = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
    UNION (SELECT writer_id, number FROM request_log WHERE client_reference = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
) ORDER BY started_at LIMIT $2
"""  # noqa: S608 - constants only

_QUOTED_AND_ACCEPTED: Final = """
SELECT DISTINCT ON (operation, quote_id) operation, quote_id, request_id, coalesce(key_label, '') AS key_label
  FROM request_log
 WHERE quote_id = ANY ($1::text[]) AND operation IN ('create_quote', 'transact') AND outcome = 'ok'
 ORDER BY operation, quote_id, started_at
"""

_EVENTS: Final = f"""
SELECT * FROM terminal_events WHERE event_id IN (
    SELECT event_id FROM terminal_events WHERE event_id = ANY ($1::text[])
    UNION SELECT event_id FROM terminal_events WHERE trade_id = ANY ($1::text[])
    UNION SELECT event_id FROM terminal_events WHERE quote_id = ANY ($1::text[])
    UNION (SELECT event_id FROM terminal_events WHERE request_id = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
    UNION (SELECT event_id FROM terminal_events WHERE client_reference = ANY ($1::text[]) LIMIT {_BRANCH_MAX})
    UNION SELECT event_id FROM deliveries WHERE delivery_id = ANY ($1::text[])
) ORDER BY created_at LIMIT $2
"""  # noqa: S608 - constants only

_DELIVERIES: Final = """
SELECT d.*, endpoint.disabled_at, endpoint.disabled_reason
  FROM deliveries d JOIN webhook_endpoints endpoint USING (endpoint_id)
 WHERE d.event_id = ANY ($1::text[])
"""

_ATTEMPTS: Final = "SELECT * FROM delivery_attempts WHERE delivery_id = ANY ($1::text[])"
_REPLAYS: Final = "SELECT * FROM delivery_replays WHERE delivery_id = ANY ($1::text[])"


async def find(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Everything this service knows of the ids, oldest first. Raises Unavailable."""
    wanted = list(dict.fromkeys(ids))
    calls, events = await asyncio.gather(database.fetch(_CALLS, wanted, limit), database.fetch(_EVENTS, wanted, limit))
    rows = [_call(row) for row in calls]
    if events:
        by_id = {row["event_id"]: row for row in events}
        deliveries = await database.fetch(_DELIVERIES, list(by_id))
        delivery_of = {row["delivery_id"]: row for row in deliveries}
        attempts, replays = await asyncio.gather(
            *(database.fetch(statement, list(delivery_of)) for statement in (_ATTEMPTS, _REPLAYS))
        )
        rows += [_event(row) for row in events]
        rows += [_delivery(row, by_id[row["event_id"]]) for row in deliveries]
        rows += [_attempt(row, delivery_of[row["delivery_id"]]) for row in attempts]
        rows += [_replay(row, delivery_of[row["delivery_id"]]) for row in replays]
    return sorted(rows, key=lambda row: row.recorded_at)[:limit]


@dataclass(frozen=True, slots=True)
class CallOnRecord:
    """A call as the request log has it."""

    request_id: str
    key_label: str


async def find_quoted_and_accepted(database: Database, quote_ids: Sequence[str]) -> dict[tuple[str, str], CallOnRecord]:
    """By operation and quote id, the first call that succeeded. Raises Unavailable."""
    rows = await database.fetch(_QUOTED_AND_ACCEPTED, quote_ids)
    return {(row["operation"], row["quote_id"]): CallOnRecord(row["request_id"], row["key_label"]) for row in rows}


def _call(row: Record) -> JourneyRow:
    key = f" with key {row['key_label']!r}" if row["key_label"] else ""
    replayed = ", replayed" if row["replayed"] else ""
    return JourneyRow(
        recorded_at=row["started_at"],
        kind="api_call",
        record_id=f"{row['writer_id']:x}-{row['number']}",
        summary=f"{row['operation'] or 'unknown path'} over {row['edge']}{key}: {row['outcome']}{replayed}",
        traceparent=row["traceparent"],
        ids={
            "request": row["request_id"],
            "idempotency_key": row["idempotency_key"] or "",
            "quote": row["quote_id"] or "",
            "trade": row["trade_id"] or "",
            "client_reference": row["client_reference"] or "",
            "organization": row["organization_id"] or "",
        },
        facts={
            "operation": row["operation"],
            "edge": row["edge"],
            "outcome": row["outcome"],
            "http_status": str(row["http_status"]),
            "key_id": row["key_id"] or "",
            "key_label": row["key_label"] or "",
            "duration_us": str(row["duration_us"]),
            "replayed": "true" if row["replayed"] else "",
        },
    )


def _event(row: Record) -> JourneyRow:
    topic, partition, offset = row["source"].rsplit("/", 2)
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="event",
        record_id=row["event_id"],
        summary=f"{row['type']} received",
        traceparent=row["traceparent"],
        ids={
            "event": row["event_id"],
            "trade": row["trade_id"],
            "quote": row["quote_id"],
            "request": row["request_id"],
            "client_reference": row["client_reference"] or "",
            "organization": row["organization_id"],
        },
        facts={"type": row["type"], "topic": topic, "partition": partition, "offset": offset},
    )


def _delivery(row: Record, event: Record) -> JourneyRow:
    delivered, disabled = row["delivered_at"], row["disabled_at"]
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="delivery",
        record_id=row["delivery_id"],
        summary=f"{row['type']} to {row['endpoint_id']}: {row['state']} after {row['attempt_count']} attempts",
        traceparent=row["traceparent"],
        ids={
            "delivery": row["delivery_id"],
            "event": row["event_id"],
            "trade": event["trade_id"],
            "request": row["request_id"],
            "organization": row["organization_id"],
        },
        facts={
            "state": row["state"],
            "endpoint_id": row["endpoint_id"],
            "attempts": str(row["attempt_count"]),
            "delivered_at": delivered.isoformat() if delivered else "",
            "endpoint_disabled": row["disabled_reason"] or "",
        },
        awaited=_awaited(row, disabled),
    )


def _awaited(row: Record, disabled: datetime | None) -> Awaited | None:
    if row["state"] == "delivered":
        return None
    if row["state"] == "dead":
        return Awaited("a replay of the dead delivery by a person", row["created_at"])
    if disabled is not None:
        return Awaited(f"the endpoint, disabled as {row['disabled_reason']}, to be enabled", disabled)
    number = row["attempt_count"] + 1
    return Awaited(f"attempt {number} to deliver the webhook", row["created_at"], row["next_attempt_at"])


def _attempt(row: Record, delivery: Record) -> JourneyRow:
    answer = str(row["status_code"]) if row["status_code"] else row["failure"]
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="attempt",
        record_id=f"{row['delivery_id']}/{row['number']}",
        summary=f"webhook attempt {row['number']}: {answer}",
        traceparent=delivery["traceparent"],
        ids={"delivery": row["delivery_id"], "event": delivery["event_id"]},
        facts={
            "number": str(row["number"]),
            "status_code": str(row["status_code"] or ""),
            "failure": row["failure"] or "",
            "duration_ms": str(row["duration_ms"]),
        },
    )


def _replay(row: Record, delivery: Record) -> JourneyRow:
    who = row["replayed_by"] or "somebody"
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="replay",
        record_id=f"{row['delivery_id']}/{row['created_at'].isoformat()}",
        summary=f"{who} had the webhook posted again, after attempt {row['attempts_before']}",
        traceparent=row["traceparent"],
        ids={"delivery": row["delivery_id"], "event": delivery["event_id"], "replay_request": row["request_id"]},
        facts={"replayed_by": row["replayed_by"], "attempts_before": str(row["attempts_before"])},
    )
