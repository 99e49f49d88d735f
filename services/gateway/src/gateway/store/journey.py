"""Finding this service's rows by any id they carry, for support. Every look-up is on an index."""

from collections.abc import Sequence
from typing import Final

from poolkit.database import Database, Record
from poolkit.journey import JourneyRow

_CALLS: Final = """
SELECT * FROM request_log WHERE (writer_id, number) IN (
    SELECT writer_id, number FROM request_log WHERE request_id = ANY ($1::text[])
    UNION SELECT writer_id, number FROM request_log WHERE idempotency_key = ANY ($1::text[])
    UNION SELECT writer_id, number FROM request_log WHERE quote_id = ANY ($1::text[])
    UNION SELECT writer_id, number FROM request_log WHERE trade_id = ANY ($1::text[])
    UNION SELECT writer_id, number FROM request_log WHERE client_reference = ANY ($1::text[])
) ORDER BY started_at LIMIT $2
"""

_EVENTS: Final = """
SELECT * FROM terminal_events WHERE event_id IN (
    SELECT event_id FROM terminal_events WHERE event_id = ANY ($1::text[])
    UNION SELECT event_id FROM terminal_events WHERE trade_id = ANY ($1::text[])
    UNION SELECT event_id FROM terminal_events WHERE quote_id = ANY ($1::text[])
    UNION SELECT event_id FROM terminal_events WHERE request_id = ANY ($1::text[])
    UNION SELECT event_id FROM terminal_events WHERE client_reference = ANY ($1::text[])
    UNION SELECT event_id FROM deliveries WHERE delivery_id = ANY ($1::text[])
) ORDER BY created_at LIMIT $2
"""

_DELIVERIES: Final = """
SELECT d.*, endpoint.url FROM deliveries d JOIN webhook_endpoints endpoint USING (endpoint_id)
 WHERE d.event_id = ANY ($1::text[])
"""

_ATTEMPTS: Final = "SELECT * FROM delivery_attempts WHERE delivery_id = ANY ($1::text[])"


async def find(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Everything this service knows of the ids, oldest first. Raises Unavailable."""
    wanted = list(dict.fromkeys(ids))
    rows = [_call(row) for row in await database.fetch(_CALLS, wanted, limit)]
    events = await database.fetch(_EVENTS, wanted, limit)
    if events:
        by_id = {row["event_id"]: row for row in events}
        deliveries = await database.fetch(_DELIVERIES, list(by_id))
        attempts = await database.fetch(_ATTEMPTS, [row["delivery_id"] for row in deliveries])
        rows += [_event(row) for row in events]
        rows += [_delivery(row, by_id[row["event_id"]]) for row in deliveries]
        delivery_of = {row["delivery_id"]: row for row in deliveries}
        rows += [_attempt(row, delivery_of[row["delivery_id"]]) for row in attempts]
    return sorted(rows, key=lambda row: row.recorded_at)[:limit]


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
        facts={"type": row["type"], "source": row["source"]},
    )


def _delivery(row: Record, event: Record) -> JourneyRow:
    delivered = row["delivered_at"]
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
        },
    )


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
