"""Owns finding this service's rows by any id they carry, for support. Every look-up is on an index."""

from __future__ import annotations

from collections.abc import Sequence

from poolkit.database import Database, Record
from poolkit.ids import event_id
from poolkit.journey import JourneyRow

_TRADE_IDS = """
SELECT trade_id FROM trades WHERE trade_id = ANY($1::text[])
UNION SELECT trade_id FROM trades WHERE quote_id = ANY($1::text[])
UNION SELECT trade_id FROM trades WHERE request_id = ANY($1::text[])
UNION SELECT trade_id FROM trades WHERE client_reference = ANY($1::text[]) AND client_reference <> ''
UNION SELECT coalesce(alias_of, trade_id) FROM intents WHERE trade_id = ANY($1::text[])
UNION SELECT coalesce(alias_of, trade_id) FROM intents
      WHERE idempotency_key = ANY($1::text[]) AND declined_at IS NULL
UNION SELECT trade_id FROM intents WHERE quote_id = ANY($1::text[]) AND declined_at IS NOT NULL
UNION SELECT coalesce(alias_of, trade_id) FROM intents WHERE request_id = ANY($1::text[])
UNION SELECT trade_id FROM transitions WHERE provider_event_id = ANY($1::text[]) AND provider_event_id <> ''
UNION SELECT trade_id FROM unapplied_reports WHERE provider_event_id = ANY($1::text[])
LIMIT $2
"""
_BY_EVENT = """
SELECT t.trade_id, o.event_id, o.type FROM outbox o JOIN trades t ON t.request_id = o.request_id
WHERE o.event_id = ANY($1::text[])
"""
_INTENTS = """
SELECT * FROM intents WHERE trade_id = ANY($1::text[])
UNION ALL SELECT * FROM intents WHERE alias_of = ANY($1::text[])
"""
_TRANSITIONS = """
SELECT n.*, t.organization_id, t.quote_id, t.pool_id, t.client_reference, t.reconciliation_state, t.fiat_amount::text,
       t.fiat_currency, t.crypto_amount::text, t.crypto_currency, t.side, t.request_id AS trade_request_id
FROM transitions n JOIN trades t USING (trade_id) WHERE n.trade_id = ANY($1::text[])
"""
_UNAPPLIED = "SELECT * FROM unapplied_reports WHERE trade_id = ANY($1::text[])"
_EVENTS = "SELECT * FROM outbox WHERE event_id = ANY($1::text[])"


async def find(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Everything this service knows of the trades that carry one of the ids, oldest first."""
    wanted = list(dict.fromkeys(ids))
    trade_ids = {row["trade_id"] for row in await database.fetch(_TRADE_IDS, wanted, limit)}
    for row in await database.fetch(_BY_EVENT, wanted):
        # Several trades may share a request id; the event id itself says whose it is.
        if event_id(row["trade_id"], row["type"]) == row["event_id"]:
            trade_ids.add(row["trade_id"])
    if not trade_ids:
        return []
    chosen = sorted(trade_ids)
    transitions = await database.fetch(_TRANSITIONS, chosen)
    event_ids = {_event_id(row): row for row in transitions}
    rows = [_intent(row) for row in await database.fetch(_INTENTS, chosen)]
    rows += [_transition(row) for row in transitions]
    rows += [_unapplied(row) for row in await database.fetch(_UNAPPLIED, chosen)]
    rows += [_event(row, event_ids[row["event_id"]]) for row in await database.fetch(_EVENTS, list(event_ids))]
    return sorted(rows, key=lambda row: row.recorded_at)[:limit]


def _event_id(transition: Record) -> str:
    return event_id(transition["trade_id"], f"pool.transaction.{transition['to_status']}")


def _intent(row: Record) -> JourneyRow:
    if row["alias_of"]:
        summary = f"another key bound to trade {row['alias_of']}"
    else:
        summary = f"transact asked for, {row['state']}" + (
            f" ({row['decline_reason']})" if row["decline_reason"] else ""
        )
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="intent",
        record_id=row["trade_id"],
        summary=summary,
        traceparent=row["traceparent"],
        ids={
            "trade": row["alias_of"] or row["trade_id"],
            "quote": row["quote_id"],
            "request": row["request_id"],
            "idempotency_key": row["idempotency_key"],
            "organization": row["organization_id"],
        },
        facts={"state": row["state"], "pool": row["pool_id"], "decline_reason": row["decline_reason"] or ""},
    )


def _transition(row: Record) -> JourneyRow:
    moved = f"{row['from_status']} → {row['to_status']}" if row["from_status"] else str(row["to_status"])
    reported = f"{row['reported_amount']} {row['reported_currency']}" if row["reported_currency"] else ""
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="transition",
        record_id=f"{row['trade_id']}/{row['number']}",
        summary=f"trade {moved}" + (f", reported by {row['source']}" if row["from_status"] else ""),
        traceparent=row["traceparent"],
        ids={
            "trade": row["trade_id"],
            "quote": row["quote_id"],
            "request": row["trade_request_id"],
            "report_request": row["request_id"] if row["from_status"] else "",
            "client_reference": row["client_reference"],
            "organization": row["organization_id"],
            "event": _event_id(row),
            "provider_event": row["provider_event_id"],
            "webhook": row["webhook_id"],
        },
        facts={
            "status": row["to_status"],
            "pool": row["pool_id"],
            "side": row["side"],
            "fiat": f"{row['fiat_amount']} {row['fiat_currency']}",
            "crypto": f"{row['crypto_amount']} {row['crypto_currency']}",
            "reported": reported,
            "network_transaction": row["network_transaction_id"],
            "business_date": row["business_date"].isoformat(),
            "reconciliation_state": row["reconciliation_state"],
        },
    )


def _unapplied(row: Record) -> JourneyRow:
    why = "kept until settled arrives" if row["kind"] == "early" else f"refused: {row['refusal_reason']}"
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="report",
        record_id=f"{row['trade_id']}/report/{row['report_id']}",
        summary=f"{row['status']} reported by {row['source']}, {why}",
        traceparent=row["traceparent"],
        ids={
            "trade": row["trade_id"],
            "provider_event": row["provider_event_id"],
            "webhook": row["webhook_id"],
            "report_request": row["request_id"],
        },
        facts={"status": row["status"], "kind": row["kind"]},
    )


def _event(row: Record, transition: Record) -> JourneyRow:
    published = row["published_at"]
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="event",
        record_id=row["event_id"],
        summary=f"{row['type']} told on {row['topic']}" + ("" if published else ", not published yet"),
        traceparent=row["traceparent"],
        ids={"event": row["event_id"], "trade": transition["trade_id"], "request": row["request_id"]},
        facts={"topic": row["topic"], "type": row["type"], "published_at": published.isoformat() if published else ""},
    )
