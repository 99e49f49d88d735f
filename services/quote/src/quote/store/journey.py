"""Owns finding this service's rows by any id they carry, for support. Every look-up is on an index."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from poolkit.database import Database, Record
from poolkit.journey import Awaited, JourneyHead, JourneyRow
from poolkit.money import format_amount, format_decimal

# Each branch stops by itself: partners may put one reference or request id on very many quotes.
_QUOTE_IDS = """
SELECT quote_id FROM quotes WHERE quote_id = ANY($1::text[])
UNION (SELECT quote_id FROM quotes WHERE request_id = ANY($1::text[]) LIMIT $2)
UNION (SELECT quote_id FROM quotes WHERE client_reference = ANY($1::text[]) AND client_reference <> '' LIMIT $2)
UNION (SELECT quote_id FROM rejections WHERE request_id = ANY($1::text[]) LIMIT $2)
UNION SELECT quote_id FROM consumptions WHERE trade_id = ANY($1::text[])
UNION (SELECT quote_id FROM consumptions WHERE request_id = ANY($1::text[]) LIMIT $2)
UNION SELECT quote_id FROM consumptions WHERE quote_id = ANY($1::text[]) AND outcome = 'consumed'
UNION (SELECT quote_id FROM consumptions WHERE quote_id = ANY($1::text[]) AND outcome <> 'consumed' LIMIT $2)
UNION SELECT quote_id FROM terminal_events WHERE event_id = ANY($1::text[])
LIMIT $2
"""
# Quote ids sort by when they were made. Of a request id no index gives that order, so a thousand are looked at.
_HEADS = """
SELECT q.quote_id, q.organization_id, coalesce(used.trade_id, '') AS trade_id
FROM (
    (SELECT quote_id FROM quotes
      WHERE client_reference = $1 AND client_reference <> '' AND ($2 = '' OR quote_id < $2)
      ORDER BY quote_id DESC LIMIT $3)
    UNION (SELECT quote_id FROM quotes WHERE request_id = $1 AND ($2 = '' OR quote_id < $2) LIMIT 1000)
    UNION (SELECT quote_id FROM rejections WHERE request_id = $1 AND ($2 = '' OR quote_id < $2) LIMIT 1000)
    UNION (SELECT quote_id FROM consumptions WHERE request_id = $1 AND ($2 = '' OR quote_id < $2) LIMIT 1000)
    ORDER BY quote_id DESC LIMIT $3
) found
JOIN quotes q ON q.quote_id = found.quote_id
LEFT JOIN consumptions used ON used.quote_id = q.quote_id AND used.outcome = 'consumed'
ORDER BY q.quote_id DESC
"""
_QUOTES = """
SELECT q.*, r.created_at AS rejected_at, r.request_id AS rejection_request_id, r.traceparent AS rejection_traceparent,
       q.expires_at <= clock_timestamp() AS expired,
       EXISTS (SELECT FROM consumptions c WHERE c.quote_id = q.quote_id AND c.outcome = 'consumed') AS consumed
FROM quotes q LEFT JOIN rejections r ON r.quote_id = q.quote_id WHERE q.quote_id = ANY($1::text[])
"""
_CONSUMPTIONS = """
SELECT * FROM consumptions WHERE quote_id = ANY($1::text[]) AND outcome = 'consumed'
UNION ALL SELECT * FROM consumptions WHERE quote_id = ANY($1::text[]) AND outcome <> 'consumed'
"""
_TERMINAL_EVENTS = """
SELECT e.* FROM consumptions c JOIN terminal_events e ON e.trade_id = c.trade_id
WHERE c.quote_id = ANY($1::text[]) AND c.outcome = 'consumed'
"""
_MOVEMENTS = """
SELECT m.*, o.topic, o.type, o.published_at
FROM (SELECT movement_id FROM treasury_movements WHERE movement_id = ANY($1::text[])
      UNION SELECT movement_id FROM treasury_movements WHERE event_id = ANY($1::text[])
      UNION SELECT movement_id FROM treasury_movements WHERE request_id = ANY($1::text[])
      LIMIT $2) found
JOIN treasury_movements m ON m.movement_id = found.movement_id
JOIN outbox o ON o.event_id = m.event_id
"""

_RATE_DIGITS: Final = 6


async def find(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """Everything this service knows of the quotes and movements that carry one of the ids, oldest first."""
    wanted = list(dict.fromkeys(ids))
    movements, found = await asyncio.gather(
        database.fetch(_MOVEMENTS, wanted, limit), database.fetch(_QUOTE_IDS, wanted, limit)
    )
    rows = [_movement(row) for row in movements]
    quote_ids = sorted(row["quote_id"] for row in found)
    if quote_ids:
        quotes, consumptions, events = await asyncio.gather(
            *(database.fetch(statement, quote_ids) for statement in (_QUOTES, _CONSUMPTIONS, _TERMINAL_EVENTS))
        )
        rows += [line for row in quotes for line in _quote(row)]
        rows += [line for row in consumptions for line in _consumption(row)]
        rows += [_terminal_event(row) for row in events]
    return sorted(rows, key=lambda row: row.recorded_at)[:limit]


async def list_journeys(database: Database, id_: str, before_quote_id: str, limit: int) -> list[JourneyHead]:
    """Quotes that a client reference or a request id is of, newest first; of a request id the last among a thousand."""
    rows = await database.fetch(_HEADS, id_, before_quote_id, limit)
    return [JourneyHead(row["quote_id"], row["organization_id"], row["trade_id"]) for row in rows]


def _quote(row: Record) -> list[JourneyRow]:
    """The quote's making, and its end where that is not a consumption."""
    ids = {
        "quote": row["quote_id"],
        "request": row["request_id"],
        "organization": row["organization_id"],
        "client_reference": row["client_reference"],
    }
    fiat = f"{format_amount(row['fiat_amount'], row['fiat_currency'])} {row['fiat_currency']}"
    crypto = f"{format_amount(row['crypto_amount'], row['crypto_currency'])} {row['crypto_currency']}"
    facts = {
        "status": "active",
        "pool": row["pool_id"],
        "side": row["side"],
        "fiat": fiat,
        "crypto": crypto,
        "rate": format_decimal(row["rate"], _RATE_DIGITS),
        "spread_bps": str(row["spread_bps"]),
        "fee_bps": str(row["fee_bps"]),
        "fee": f"{format_amount(row['fee_amount'], row['fiat_currency'])} {row['fiat_currency']}",
        "network": row["network"],
        "expires_at": row["expires_at"].isoformat(),
    }
    made = f"firm {row['side']} quote: {fiat} for {crypto}"
    ended = row["rejected_at"] is not None or row["expired"] or row["consumed"]
    awaited = None if ended else Awaited("the quote's acceptance", row["created_at"], row["expires_at"])

    def line(moment: datetime, summary: str, traceparent: str, status: str, **other_ids: str) -> JourneyRow:
        told = facts if status == "active" else {"status": status}
        return JourneyRow(
            moment, "quote", row["quote_id"], summary, traceparent, {**ids, **other_ids}, told, status,
            awaited if status == "active" else None,
        )  # fmt: skip

    rows = [line(row["created_at"], made, row["traceparent"], "active")]
    if row["rejected_at"] is not None:
        request, traceparent = row["rejection_request_id"], row["rejection_traceparent"]
        rows.append(line(row["rejected_at"], "quote rejected", traceparent, "rejected", request=request))
    elif row["expired"] and not row["consumed"]:
        # Nobody does it: time passes. It is told with the trace that set the time.
        rows.append(line(row["expires_at"], "quote expired", row["traceparent"], "expired"))
    return rows


def _consumption(row: Record) -> list[JourneyRow]:
    """What a trade id was answered, and that it was given back."""
    ids = {
        "trade": row["trade_id"],
        "quote": row["quote_id"],
        "request": row["request_id"],
        "organization": row["organization_id"],
    }

    def line(moment: datetime, summary: str, status: str) -> JourneyRow:
        facts = {"status": status, "refusal_reason": row["refusal_reason"] or ""}
        return JourneyRow(moment, "consumption", row["trade_id"], summary, row["traceparent"], ids, facts, status)

    if row["outcome"] == "refused":
        return [line(row["created_at"], f"consumption refused: {row['refusal_reason']}", "refused")]
    if row["outcome"] == "consumed":
        return [line(row["created_at"], "quote consumed", "consumed")]
    undone = line(row["given_back_at"], "consumption given back", "given_back")
    if row["given_back_at"] == row["created_at"]:
        return [undone]
    return [line(row["created_at"], "quote consumed", "consumed"), undone]


def _terminal_event(row: Record) -> JourneyRow:
    topic, partition, offset = row["source"].rsplit("/", 2)
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="event",
        record_id=row["event_id"],
        summary=f"inventory of {row['pool_id']} follows pool.transaction.{row['status']}",
        traceparent=row["traceparent"],
        ids={
            "event": row["event_id"],
            "trade": row["trade_id"],
            "quote": row["quote_id"],
            "request": row["request_id"],
        },
        facts={
            "type": f"pool.transaction.{row['status']}",
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "crypto_total_change": str(row["crypto_total"]),
            "fiat_total_change": str(row["fiat_total"]),
            "business_date": row["business_date"].isoformat(),
        },
    )


def _movement(row: Record) -> JourneyRow:
    amount = f"{format_amount(row['amount'], row['currency'])} {row['currency']}"
    published = row["published_at"]
    awaited = None if published else Awaited("the event to reach the broker", row["created_at"])
    return JourneyRow(
        recorded_at=row["created_at"],
        kind="event",
        record_id=row["event_id"],
        summary=f"treasury moved {amount} into {row['pool_id']}" + ("" if published else ", not published yet"),
        traceparent=row["traceparent"],
        ids={
            "event": row["event_id"],
            "request": row["request_id"],
            "movement": row["movement_id"],
            "organization": "treasury",
        },
        facts={
            "type": row["type"],
            "topic": row["topic"],
            "pool": row["pool_id"],
            "amount": amount,
            "business_date": row["business_date"].isoformat(),
            "published_at": published.isoformat() if published else "",
        },
        awaited=awaited,
    )
