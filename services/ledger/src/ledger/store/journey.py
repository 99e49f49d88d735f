"""Owns finding this service's rows by any id they carry, for support. Every look-up is on an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ledger.domain.identities import entry_id, hold_id
from poolkit.database import Database, Record
from poolkit.journey import Awaited, JourneyRow
from poolkit.money import format_amount

# Each branch stops by itself: partners may put one reference or request id on very many trades.
_HOLDS = """
SELECT holds.*, accounts.currency FROM (
    SELECT trade_id FROM holds WHERE trade_id = ANY ($1::text[])
    UNION (SELECT trade_id FROM holds WHERE request_id = ANY ($1::text[]) LIMIT $2)
    UNION (SELECT trade_id FROM holds WHERE quote_id = ANY ($1::text[]) AND quote_id <> '' LIMIT $2)
    UNION (SELECT trade_id FROM holds WHERE client_reference = ANY ($1::text[]) AND client_reference <> '' LIMIT $2)
    LIMIT $2
) AS found
JOIN holds ON holds.trade_id = found.trade_id
LEFT JOIN accounts ON accounts.id = holds.account_id
"""

_TRANSACTIONS = """
SELECT transactions.* FROM (
    SELECT number FROM transactions WHERE id = ANY ($1::text[])
    UNION (SELECT number FROM transactions WHERE request_id = ANY ($1::text[]) LIMIT $2)
    UNION SELECT number FROM transactions WHERE trade_id = ANY ($1::text[]) AND trade_id <> ''
    UNION (SELECT number FROM transactions WHERE quote_id = ANY ($1::text[]) AND quote_id <> '' LIMIT $2)
    UNION (SELECT number FROM transactions
           WHERE client_reference = ANY ($1::text[]) AND client_reference <> '' LIMIT $2)
    UNION SELECT number FROM inbox JOIN transactions ON number BETWEEN inbox.sequence AND inbox.sequence + 1
        WHERE inbox.event_id = ANY ($1::text[])
    LIMIT $2
) AS found
JOIN transactions ON transactions.number = found.number
"""

_ENTRIES = """
SELECT entries.*, accounts.name, accounts.currency FROM entries JOIN accounts ON accounts.id = entries.account_id
WHERE transaction_number = ANY ($1::bigint[]) ORDER BY transaction_number, leg
"""

_EVENTS = """
SELECT event_id, topic, type, organization_id, business_date, occurred_ms, request_id, traceparent, partition, "offset",
       received_at, state, awaits, sequence, applied_at
FROM inbox WHERE event_id = ANY ($1::text[]) LIMIT $2
"""

_EXCEPTIONS = """
SELECT * FROM (
    SELECT * FROM exceptions WHERE event_id = ANY ($1::text[])
    UNION SELECT * FROM exceptions WHERE trade_id = ANY ($1::text[]) AND trade_id <> ''
) AS found LIMIT $2
"""

_CLOSE_EXCEPTIONS = """
SELECT exception.*, close.business_date, close.revision, close.requested_by, close.traceparent, close.created_at,
       NOT EXISTS (SELECT FROM closes newer
                   WHERE newer.business_date = close.business_date AND newer.revision > close.revision) AS is_newest
FROM (
    (SELECT close_id, number FROM close_exceptions WHERE trade_id = ANY ($1::text[]) AND trade_id <> '' LIMIT $2)
    UNION (SELECT close_id, number FROM close_exceptions
           WHERE event_id = ANY ($1::text[]) AND event_id <> '' LIMIT $2)
    LIMIT $2
) AS found
JOIN close_exceptions exception ON exception.close_id = found.close_id AND exception.number = found.number
JOIN closes close ON close.close_id = found.close_id
"""


async def find_holds(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """The holds that carry one of the ids, which may be trade, quote and request ids and client references."""
    rows: list[Any] = await database.fetch(_HOLDS, ids, limit)
    return [told for row in rows for told in _hold(row)]


async def find_transactions(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """The entries of every transaction that carries one of the ids, which may be transaction and event ids too."""
    transactions: dict[int, Any] = {row["number"]: row for row in await database.fetch(_TRANSACTIONS, ids, limit)}
    if not transactions:
        return []
    rows: list[Any] = await database.fetch(_ENTRIES, sorted(transactions))
    return [_entry(row, transactions[row["transaction_number"]]) for row in rows]


async def find_events(database: Database, event_ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """The stored events by id."""
    return [_event(row) for row in await database.fetch(_EVENTS, event_ids, limit)]


async def find_exceptions(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """The exceptions noted of events and trades."""
    return [_exception(row) for row in await database.fetch(_EXCEPTIONS, ids, limit)]


async def find_close_exceptions(database: Database, ids: Sequence[str], limit: int) -> list[JourneyRow]:
    """What closes found of events and trades."""
    return [_close_exception(row) for row in await database.fetch(_CLOSE_EXCEPTIONS, ids, limit)]


def _hold(row: Record) -> list[JourneyRow]:
    """The hold's placing, and its end. Who ended it is known to whoever joins it with its event."""
    id_ = hold_id(row["trade_id"])
    ids = {
        "hold": id_,
        "trade": row["trade_id"],
        "quote": row["quote_id"],
        "request": row["request_id"],
        "client_reference": row["client_reference"],
        "organization": row["organization_id"],
    }
    state, currency = row["state"], row["currency"]
    amount = f"{format_amount(row['amount'], currency)} {currency}" if currency else ""

    def line(moment: datetime, entered: str, summary: str, awaited: Awaited | None = None) -> JourneyRow:
        facts = {"amount": amount, "state": entered}
        return JourneyRow(moment, "hold", id_, summary, row["traceparent"], ids, facts, entered, awaited)

    if not currency:
        return [line(row["created_at"], "ruled_out", "hold ruled out")]
    if state == "refused":
        return [line(row["created_at"], "refused", f"hold of {amount} refused")]
    awaited = Awaited("the trade's end, which ends the hold", row["created_at"]) if state == "open" else None
    rows = [line(row["created_at"], "placed", f"hold of {amount} placed", awaited)]
    if state != "open":
        rows.append(line(row["ended_at"], state, f"hold of {amount} {state}"))
    return rows


def _entry(row: Record, transaction: Record) -> JourneyRow:
    id_, currency = entry_id(transaction["id"], row["leg"]), row["currency"]
    amount = f"{format_amount(row['amount'], currency)} {currency}"
    after = row["balance_after"]
    return JourneyRow(
        transaction["created_at"],
        "entry",
        id_,
        f"{transaction['reason']}: {amount} on {row['name']}",
        transaction["traceparent"],
        {
            "entry": id_,
            "ledger_transaction": transaction["id"],
            "event": transaction["event_id"],
            "trade": transaction["trade_id"],
            "quote": transaction["quote_id"],
            "request": transaction["request_id"],
            "client_reference": transaction["client_reference"],
            "organization": transaction["organization_id"],
        },
        {
            "account": row["name"],
            "amount": amount,
            "reason": transaction["reason"],
            "balance_after": "" if after is None else f"{format_amount(after, currency)} {currency}",
            "sequence": str(transaction["sequence"]),
            "business_date": transaction["business_date"].isoformat(),
        },
    )


def _event(row: Record) -> JourneyRow:
    applied, day = row["applied_at"], row["business_date"]
    return JourneyRow(
        row["received_at"],
        "event",
        row["event_id"],
        f"{row['type'] or 'event'} {'waits for another' if row['state'] == 'parked' else row['state']}",
        row["traceparent"],
        {
            "event": row["event_id"],
            "request": row["request_id"],
            "organization": row["organization_id"],
        },
        {
            "topic": row["topic"],
            "partition": str(row["partition"]),
            "offset": str(row["offset"]),
            "state": row["state"],
            "awaits": row["awaits"],
            "applied_at": applied.isoformat() if applied else "",
            "business_date": day.isoformat() if day else "",
        },
        awaited=_awaited(row),
    )


def _awaited(row: Record) -> Awaited | None:
    if row["state"] == "parked":
        return Awaited(f"the event that this one follows ({row['awaits']})", row["received_at"])
    return Awaited("a replay of the dead letter by a person", row["received_at"]) if row["state"] == "dead" else None


def _exception(row: Record) -> JourneyRow:
    return JourneyRow(
        row["created_at"],
        "exception",
        row["event_id"],
        f"{row['kind']}: {row['detail']}",
        "",
        {"event": row["event_id"], "trade": row["trade_id"], "organization": row["organization_id"]},
        {"kind": row["kind"]},
        entered_state=row["kind"],
    )


def _close_exception(row: Record) -> JourneyRow:
    day, found_at = row["business_date"].isoformat(), row["created_at"]
    return JourneyRow(
        found_at,
        "close_exception",
        f"{row['close_id']}/{row['number']}",
        f"close of {day}, revision {row['revision']}: {row['kind'].replace('_', ' ')}: {row['description']}",
        row["traceparent"],
        {
            "close": row["close_id"],
            "trade": row["trade_id"],
            "event": row["event_id"],
            "organization": row["organization_id"],
        },
        {
            "kind": row["kind"],
            "business_date": day,
            "revision": str(row["revision"]),
            "requested_by": row["requested_by"],
        },
        # A later revision says anew what is left of it.
        awaited=Awaited(f"a person to look into what the close of {day} found", found_at) if row["is_newest"] else None,
    )
