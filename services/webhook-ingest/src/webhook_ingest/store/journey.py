"""Owns finding this service's rows by any id they carry, for support. Every look-up is on an index."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from poolkit.database import Database, Record
from poolkit.journey import Awaited, JourneyRow
from poolkit.money import format_amount

# Each branch stops by itself: a provider may put one request id on very many webhooks.
_WEBHOOK_IDS: Final = """
SELECT webhook_id FROM webhooks WHERE webhook_id = ANY ($1::text[])
UNION SELECT first_webhook_id FROM webhooks WHERE webhook_id = ANY ($1::text[]) AND first_webhook_id IS NOT NULL
UNION SELECT webhook_id FROM webhooks WHERE provider_event_id = ANY ($1::text[]) AND refusal_reason = ''
UNION (SELECT webhook_id FROM webhooks WHERE provider_event_id = ANY ($1::text[]) AND refusal_reason <> '' LIMIT $2)
UNION (SELECT webhook_id FROM webhooks WHERE transact_id = ANY ($1::text[]) AND transact_id <> '' LIMIT $2)
UNION SELECT webhook_id FROM webhooks WHERE payin_event_id = ANY ($1::text[]) AND payin_event_id <> ''
UNION SELECT webhook_id FROM webhooks
      WHERE bank_transaction_id = ANY ($1::text[]) AND bank_transaction_id <> '' AND first_webhook_id IS NULL
UNION SELECT webhook_id FROM unallocated_payins
      WHERE allocation_event_id = ANY ($1::text[]) AND allocation_event_id <> ''
UNION (SELECT webhook_id FROM unallocated_payins
       WHERE request_id = ANY ($1::text[]) AND request_id <> '' LIMIT $2)
UNION (SELECT webhook_id FROM webhooks WHERE request_id = ANY ($1::text[]) LIMIT $2)
LIMIT $2
"""
_WEBHOOKS: Final = """
SELECT webhooks.*, held.webhook_id IS NOT NULL AS unprocessed, held.given_up_at,
       held.next_attempt_at
FROM webhooks LEFT JOIN unprocessed_webhooks held USING (webhook_id) WHERE webhook_id = ANY ($1::text[])
"""
_ATTEMPTS: Final = """
SELECT tried.*, webhooks.transact_id, webhooks.kind FROM webhook_attempts tried JOIN webhooks USING (webhook_id)
WHERE webhook_id = ANY ($1::text[])
"""
_EVENTS: Final = "SELECT * FROM outbox WHERE event_id = ANY ($1::text[])"
_UNALLOCATED: Final = """
SELECT kept.*, webhooks.received_at, webhooks.request_id AS payin_request_id, webhooks.traceparent AS payin_traceparent
FROM unallocated_payins kept JOIN webhooks USING (webhook_id)
WHERE kept.payin_event_id = ANY ($1::text[])
"""
_REJECTED: Final = """
SELECT * FROM rejected_webhooks WHERE webhook_id = ANY ($1::text[])
UNION (SELECT * FROM rejected_webhooks WHERE request_id = ANY ($1::text[]) LIMIT $2)
LIMIT $2
"""
_POLLS: Final = """
SELECT * FROM status_polls WHERE transact_id = ANY ($1::text[])
UNION (SELECT * FROM status_polls WHERE request_id = ANY ($1::text[]) LIMIT $2)
LIMIT $2
"""


async def find(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Every webhook that carries one of the ids, its tries and its event, oldest first."""
    wanted = list(dict.fromkeys(ids))
    found, rejected, polled = await asyncio.gather(
        *(database.fetch(statement, wanted, limit) for statement in (_WEBHOOK_IDS, _REJECTED, _POLLS))
    )
    chosen = [row["webhook_id"] for row in found]
    rows = [*map(_rejected, rejected), *map(_poll, polled)]
    if chosen:
        webhooks, attempts = await asyncio.gather(
            *(database.fetch(statement, chosen) for statement in (_WEBHOOKS, _ATTEMPTS))
        )
        payins = {row["payin_event_id"]: row for row in webhooks if row["payin_event_id"]}
        rows += [*map(_webhook, webhooks), *map(_attempt, attempts)]
        if payins:
            for row in await database.fetch(_UNALLOCATED, list(payins)):
                rows += _unallocated(row)
                if row["allocation_event_id"]:
                    payins[row["allocation_event_id"]] = payins[row["payin_event_id"]]
            rows += [_event(row, payins[row["event_id"]]) for row in await database.fetch(_EVENTS, list(payins))]
    return sorted(rows, key=lambda row: row.recorded_at)[:limit]


def _webhook(row: Record) -> JourneyRow:
    state, told = _state(row), f"{row['kind']} from {row['source']}, signature {row['signature_result']}"
    repeats = f", repeats {row['first_webhook_id']}" if row["first_webhook_id"] else ""
    return JourneyRow(
        recorded_at=row["received_at"],
        kind="webhook_in",
        record_id=row["webhook_id"],
        summary=f"{told}, {state}{repeats}",
        traceparent=row["traceparent"],
        ids={
            "webhook": row["webhook_id"],
            "first_webhook": row["first_webhook_id"] or "",
            "provider_event": row["provider_event_id"],
            "trade": row["transact_id"],
            "event": row["payin_event_id"] if not row["refusal_reason"] else "",
            "bank_transaction": row["bank_transaction_id"],
            "request": row["request_id"],
        },
        facts={
            "source": row["source"],
            "kind": row["kind"],
            "state": state,
            "signature_result": row["signature_result"],
            "refusal_reason": row["refusal_reason"],
            "amount": f"{format_amount(row['amount'], row['currency'])} {row['currency']}" if row["amount"] else "",
            "network_transaction": row["network_transaction_id"],
            "funding_reference": row["funding_reference"],
            "occurred_at": row["occurred_at"].isoformat(),
        },
        awaited=_awaited(row, state),
    )


def _awaited(row: Record, state: str) -> Awaited | None:
    if state == "exception":
        return Awaited("a person to look at the webhook, which was given up", row["given_up_at"])
    if state == "received":
        return Awaited("the webhook to be processed", row["received_at"], row["next_attempt_at"])
    return None


def _state(row: Record) -> str:
    if row["refusal_reason"]:
        return "conflict"
    if row["given_up_at"]:
        return "exception"
    return "received" if row["unprocessed"] else "processed"


def _attempt(row: Record) -> JourneyRow:
    why = f": {row['detail']}" if row["detail"] else f", {row['effect']}" if row["effect"] else ""
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="attempt",
        record_id=f"{row['webhook_id']}/{row['number']}",
        summary=f"try {row['number']} to process {row['kind']}: {row['outcome']}{why}",
        traceparent=row["traceparent"],
        ids={
            "webhook": row["webhook_id"],
            "trade": row["transact_id"],
            "organization": row["organization_id"],
            "request": row["request_id"],
        },
        facts={
            "number": str(row["number"]),
            "outcome": row["outcome"],
            "effect": row["effect"],
            "detail": row["detail"],
            "attempted_at": row["attempted_at"].isoformat(),
        },
    )


def _event(row: Record, payin: Record) -> JourneyRow:
    published = row["published_at"]
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="event",
        record_id=row["event_id"],
        summary=f"{row['type']} told on {row['topic']}" + ("" if published else ", not published yet"),
        traceparent=row["traceparent"],
        ids={
            "event": row["event_id"],
            "webhook": payin["first_webhook_id"] or payin["webhook_id"],
            "organization": row["key"],
            "request": row["request_id"],
        },
        facts={
            "topic": row["topic"],
            "type": row["type"],
            "business_date": row["business_date"].isoformat(),
            "published_at": published.isoformat() if published else "",
        },
        awaited=None if published else Awaited("the event to reach the broker", row["created_at"]),
    )


def _unallocated(row: Record) -> list[JourneyRow]:
    """That a pay-in came for nobody who is known, and who said whose it is, and why."""
    organization_id, who, reason = row["organization_id"], row["allocated_by"], row["allocation_reason"]
    ids = {"event": row["payin_event_id"], "webhook": row["webhook_id"]}

    def line(moment: datetime, state: str, summary: str, traceparent: str, **more: str) -> JourneyRow:
        waits = None if organization_id else Awaited("a person to say whose the pay-in is", moment)
        facts = {"state": state, "allocated_by": who, "reason": reason} if state == "allocated" else {"state": state}
        return JourneyRow(
            moment, "allocation", row["payin_event_id"], summary, traceparent, {**ids, **more}, facts, state, waits
        )

    came = line(
        row["received_at"], "waiting", "its reference is nobody's: it waits in suspense", row["payin_traceparent"],
        request=row["payin_request_id"],
    )  # fmt: skip
    if not organization_id:
        return [came]
    said = line(
        row["allocated_at"], "allocated", f"{who} allocated it to {organization_id}: {reason}", row["traceparent"],
        organization=organization_id, allocation_event=row["allocation_event_id"], request=row["request_id"],
    )  # fmt: skip
    return [came, said]


def _rejected(row: Record) -> JourneyRow:
    return JourneyRow(
        recorded_at=row["received_at"],
        kind="webhook_in",
        record_id=row["webhook_id"],
        summary=f"webhook from {row['source']} refused: {row['reason']}, no effect",
        traceparent=row["traceparent"],
        ids={"webhook": row["webhook_id"], "request": row["request_id"]},
        facts={
            "source": row["source"],
            "state": "rejected",
            "signature_result": row["signature_result"],
            "refusal_reason": row["reason"],
            "detail": row["detail"],
            "body_bytes": str(row["body_bytes"]),
        },
    )


def _poll(row: Record) -> JourneyRow:
    told = row["outcome"].replace("_", " ") or "not heard yet"
    return JourneyRow(
        recorded_at=row["asked_at"],
        kind="status_poll",
        record_id=row["transact_id"],
        summary=f"settlement was asked what became of the trade: {told} (time {row['asked_count']})",
        traceparent=row["traceparent"],
        ids={"trade": row["transact_id"], "request": row["request_id"]},
        facts={"outcome": row["outcome"], "asked_count": str(row["asked_count"])},
    )
