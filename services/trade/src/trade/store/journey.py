"""Owns finding this service's rows by any id they carry, for support. Every look-up is on an index."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from poolkit.database import Database, Record
from poolkit.ids import event_id
from poolkit.journey import Awaited, JourneyHead, JourneyRow

_EVENT_TYPES: Final = tuple(
    f"pool.transaction.{status}" for status in ("reserved", "settled", "failed", "released", "returned")
)

# Each branch stops by itself: partners may put one reference or request id on very many trades.
_TRADE_IDS = """
SELECT trade_id FROM trades WHERE trade_id = ANY($1::text[])
UNION (SELECT trade_id FROM trades WHERE quote_id = ANY($1::text[]) LIMIT $2)
UNION (SELECT trade_id FROM trades WHERE request_id = ANY($1::text[]) LIMIT $2)
UNION (SELECT trade_id FROM trades WHERE client_reference = ANY($1::text[]) AND client_reference <> '' LIMIT $2)
UNION SELECT coalesce(alias_of, trade_id) FROM intents WHERE trade_id = ANY($1::text[])
UNION (SELECT coalesce(alias_of, trade_id) FROM intents
       WHERE idempotency_key = ANY($1::text[]) AND declined_at IS NULL LIMIT $2)
UNION SELECT coalesce(alias_of, trade_id) FROM intents
       WHERE quote_id = ANY($1::text[]) AND declined_at IS NULL AND alias_of IS NULL
UNION (SELECT trade_id FROM intents WHERE quote_id = ANY($1::text[]) AND declined_at IS NOT NULL LIMIT $2)
UNION (SELECT coalesce(alias_of, trade_id) FROM intents WHERE request_id = ANY($1::text[]) LIMIT $2)
UNION (SELECT trade_id FROM transitions
       WHERE provider_event_id = ANY($1::text[]) AND provider_event_id <> '' LIMIT $2)
UNION (SELECT trade_id FROM unapplied_reports WHERE provider_event_id = ANY($1::text[]) LIMIT $2)
UNION SELECT trade_id FROM deposit_addresses WHERE address = ANY($1::text[]) AND trade_id IS NOT NULL
LIMIT $2
"""
_BY_EVENT = """
SELECT t.trade_id, o.event_id, o.type
FROM outbox o CROSS JOIN LATERAL (SELECT trade_id FROM trades WHERE request_id = o.request_id LIMIT $2) t
WHERE o.event_id = ANY($1::text[])
"""
# Quote ids sort by when they were made. Of keys, requests and providers' ids no index gives that order, so a thousand
# are looked at.
_HEADS = """
SELECT found.quote_id, found.organization_id, coalesce(t.trade_id, '') AS trade_id
FROM (
    (SELECT quote_id, organization_id FROM trades
      WHERE client_reference = $1 AND client_reference <> '' AND ($2 = '' OR quote_id < $2)
      ORDER BY quote_id DESC LIMIT $3)
    UNION (SELECT quote_id, organization_id FROM trades
            WHERE request_id = $1 AND ($2 = '' OR quote_id < $2) LIMIT 1000)
    UNION (SELECT quote_id, organization_id FROM intents
            WHERE request_id = $1 AND ($2 = '' OR quote_id < $2) LIMIT 1000)
    UNION (SELECT quote_id, organization_id FROM intents
            WHERE idempotency_key = $1 AND declined_at IS NULL AND ($2 = '' OR quote_id < $2) LIMIT 1000)
    UNION (SELECT t.quote_id, t.organization_id
             FROM (SELECT trade_id FROM transitions
                    WHERE provider_event_id = $1 AND provider_event_id <> '' LIMIT 1000) told
             JOIN trades t ON t.trade_id = told.trade_id WHERE $2 = '' OR t.quote_id < $2)
) found
LEFT JOIN trades t ON t.quote_id = found.quote_id AND t.organization_id = found.organization_id
ORDER BY found.quote_id DESC LIMIT $3
"""
_INTENTS = """
SELECT * FROM intents WHERE trade_id = ANY($1::text[])
UNION ALL SELECT * FROM intents WHERE alias_of = ANY($1::text[])
"""
_TRANSITIONS = """
SELECT n.*, t.organization_id, t.quote_id, t.pool_id, t.client_reference, t.reconciliation_state, t.fiat_amount::text,
       t.fiat_currency, t.crypto_amount::text, t.crypto_currency, t.side, t.request_id AS trade_request_id,
       t.close_id, t.status AS trade_status, n.number = t.terminal_count AS is_last
FROM transitions n JOIN trades t USING (trade_id) WHERE n.trade_id = ANY($1::text[])
"""
_UNAPPLIED = """
SELECT u.*, t.status AS trade_status FROM unapplied_reports u JOIN trades t USING (trade_id)
WHERE u.trade_id = ANY($1::text[])
"""
_DEPOSIT_ADDRESSES = "SELECT * FROM deposit_addresses WHERE trade_id = ANY($1::text[])"
_RESOLUTIONS = "SELECT * FROM resolutions WHERE trade_id = ANY($1::text[])"
_EVENTS = "SELECT * FROM outbox WHERE event_id = ANY($1::text[])"


async def list_journeys(database: Database, id_: str, before_quote_id: str, limit: int) -> list[JourneyHead]:
    """Quotes accepted under a client reference, key, request or provider's event, newest first; of all but the first
    the last among a thousand."""
    rows = await database.fetch(_HEADS, id_, before_quote_id, limit)
    return [JourneyHead(row["quote_id"], row["organization_id"], row["trade_id"]) for row in rows]


async def find(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Everything this service knows of the trades that carry one of the ids, oldest first."""
    wanted = list(dict.fromkeys(ids))
    found, by_event = await asyncio.gather(
        database.fetch(_TRADE_IDS, wanted, limit), database.fetch(_BY_EVENT, wanted, limit)
    )
    trade_ids = {row["trade_id"] for row in found}
    # Several trades may share a request id; the event id itself says whose it is.
    trade_ids |= {row["trade_id"] for row in by_event if event_id(row["trade_id"], row["type"]) == row["event_id"]}
    if not trade_ids:
        return []
    chosen = sorted(trade_ids)
    # Which events a trade may have follows from its id, so nothing waits for its transitions.
    told = {event_id(trade_id, type_): trade_id for trade_id in chosen for type_ in _EVENT_TYPES}
    of_trade = (_TRANSITIONS, _INTENTS, _UNAPPLIED, _DEPOSIT_ADDRESSES, _RESOLUTIONS)
    transitions, intents, unapplied, addresses, resolutions, events = await asyncio.gather(
        *(database.fetch(statement, chosen) for statement in of_trade), database.fetch(_EVENTS, list(told))
    )
    rows = [line for row in intents for line in _intent(row)]
    rows += [_transition(row) for row in transitions]
    rows += [_unapplied(row) for row in unapplied]
    rows += [_deposit_address(row) for row in addresses]
    rows += [_resolution(row) for row in resolutions]
    rows += [_event(row, told[row["event_id"]]) for row in events]
    return sorted(rows, key=lambda row: row.recorded_at)[:limit]


def _event_id(transition: Record) -> str:
    return event_id(transition["trade_id"], f"pool.transaction.{transition['to_status']}")


def _intent(row: Record) -> list[JourneyRow]:
    """That the quote was to be accepted; and that it was declined, where it was. What was reserved is a transition."""
    reason, undecided = row["decline_reason"] or "", row["state"] in {"running", "declining"}
    ids = {
        "trade": row["alias_of"] or row["trade_id"],
        "quote": row["quote_id"],
        "request": row["request_id"],
        "idempotency_key": row["idempotency_key"],
        "organization": row["organization_id"],
    }

    def line(moment: datetime, state: str, summary: str, awaited: Awaited | None = None) -> JourneyRow:
        facts = {"state": row["state"], "pool": row["pool_id"], "decline_reason": reason}
        return JourneyRow(
            moment, "intent", row["trade_id"], summary, row["traceparent"], ids, facts, state, awaited
        )  # fmt: skip

    if row["alias_of"]:
        return [line(row["created_at"], "bound", f"another key bound to trade {row['alias_of']}")]
    awaited = Awaited("quote and ledger, to take or to undo the trade", row["created_at"]) if undecided else None
    asked = line(row["created_at"], "asked", "transact asked for" + (", under way" if undecided else ""), awaited)
    if row["declined_at"] is None:
        return [asked]
    return [asked, line(row["declined_at"], "declined", f"transact declined: {reason}")]


def _transition(row: Record) -> JourneyRow:
    moved = f"{row['from_status']} → {row['to_status']}" if row["from_status"] else str(row["to_status"])
    reported = f"{row['reported_amount']} {row['reported_currency']}" if row["reported_currency"] else ""
    awaited = None
    if row["is_last"] and row["trade_status"] == "reserved":
        awaited = Awaited("a settlement report", row["created_at"])
    elif row["is_last"] and row["reconciliation_state"] == "open":
        awaited = Awaited(f"the daily close of {row['business_date'].isoformat()}", row["created_at"])
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
            "close": row["close_id"],
        },
        awaited=awaited,
    )


def _unapplied(row: Record) -> JourneyRow:
    why = "kept until settled arrives" if row["kind"] == "early" else f"refused: {row['refusal_reason']}"
    waits = row["kind"] == "early" and row["trade_status"] == "reserved"
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
        awaited=Awaited("the settled report that this one follows", row["created_at"]) if waits else None,
    )


def _deposit_address(row: Record) -> JourneyRow:
    return JourneyRow(
        recorded_at=row["assigned_at"],
        kind="deposit_address",
        record_id=row["address"],
        summary=f"deposit address on {row['network']} for {row['crypto_currency']} assigned",
        traceparent=row["traceparent"],
        ids={"deposit_address": row["address"], "trade": row["trade_id"], "preload_request": row["request_id"]},
        facts={"network": row["network"], "currency": row["crypto_currency"]},
    )


def _event(row: Record, trade_id: str) -> JourneyRow:
    published = row["published_at"]
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="event",
        record_id=row["event_id"],
        summary=f"{row['type']} told on {row['topic']}" + ("" if published else ", not published yet"),
        traceparent=row["traceparent"],
        ids={"event": row["event_id"], "trade": trade_id, "request": row["request_id"]},
        facts={"topic": row["topic"], "type": row["type"], "published_at": published.isoformat() if published else ""},
        awaited=None if published else Awaited("the event to reach the broker", row["created_at"]),
    )


def _resolution(row: Record) -> JourneyRow:
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="resolution",
        record_id=f"{row['trade_id']}/resolution",
        summary=f"{row['resolved_by']} decided to {row['resolution']} the trade: {row['reason']}",
        traceparent=row["traceparent"],
        ids={"trade": row["trade_id"], "resolution_request": row["request_id"]},
        facts={"resolution": row["resolution"], "reason": row["reason"], "resolved_by": row["resolved_by"]},
    )
