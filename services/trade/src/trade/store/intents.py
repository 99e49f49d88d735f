"""Owns the table `intents`: who may drive which attempt, and which keys and quotes are bound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from poolkit.database import Contended, Database, Record, Unit
from trade.domain.intent import Attempt, IntentState, KnownIntent, TransactRequest

_CONTENDED_MAX: Final = 3
"""Tries before a lost lock is told to the caller."""

_BEGIN = """
INSERT INTO intents (trade_id, organization_id, idempotency_key, quote_id, pool_id, balance_gate_enabled,
                     off_ramp_enabled, notional_caps, request_id, traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[],
                     $7::boolean[], $8::jsonb[], $9::text[], $10::text[])
ON CONFLICT DO NOTHING
RETURNING trade_id, claimed_at
"""

_BIND = """
INSERT INTO intents (trade_id, organization_id, idempotency_key, quote_id, pool_id, balance_gate_enabled,
                     off_ramp_enabled, state, alias_of, request_id, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'alias', $8, $9, $10)
ON CONFLICT DO NOTHING
RETURNING trade_id
"""

_KNOWN = """
SELECT a.position, true AS by_key, coalesce(i.alias_of, i.trade_id) AS trade_id, i.idempotency_key, i.quote_id,
       i.pool_id, i.state
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a (organization_id, idempotency_key, position)
JOIN intents i ON i.idempotency_key = a.idempotency_key AND i.organization_id = a.organization_id
             AND i.declined_at IS NULL
UNION ALL
SELECT a.position, false, i.trade_id, i.idempotency_key, i.quote_id, i.pool_id, i.state
FROM unnest($1::text[], $3::text[], $4::text[]) WITH ORDINALITY AS a (organization_id, quote_id, pool_id, position)
JOIN intents i ON i.quote_id = a.quote_id AND i.organization_id = a.organization_id AND i.pool_id = a.pool_id
             AND i.declined_at IS NULL AND i.alias_of IS NULL
"""

STATE: Final = "i.state || ''"
"""The state, compared so that no index of open intents is used: each would be compared with each claim (ADR 13)."""

_DECLINING = f"""
UPDATE intents i SET state = 'declining', decline_reason = a.reason
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS a (trade_id, fencing, reason)
WHERE i.trade_id = a.trade_id AND i.fencing = a.fencing AND {STATE} = 'running'
RETURNING i.trade_id
"""  # noqa: S608 - constants only

_DECLINED = f"""
UPDATE intents i SET state = 'declined', declined_at = clock_timestamp(),
       decline_reason = coalesce(i.decline_reason, a.reason)
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS a (trade_id, fencing, reason)
WHERE i.trade_id = a.trade_id AND i.fencing = a.fencing AND {STATE} = $4
RETURNING i.trade_id
"""  # noqa: S608 - constants only

_TAKE_OVER = """
UPDATE intents i SET fencing = i.fencing + 1, claimed_at = clock_timestamp()
WHERE i.trade_id = ANY (ARRAY(
    SELECT trade_id FROM intents
    WHERE state IN ('running', 'declining') AND claimed_at < now() - make_interval(secs => $1)
    ORDER BY claimed_at LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING i.*
"""


async def uncontended(target: Database | Unit, sql: str, *args: Any) -> list[Record]:
    """Runs a statement, again where it lost a deadlock or a lock: nothing has happened then.

    Inside a unit a lost statement has ended the transaction, so there it is not tried again.
    """
    for _ in range(_CONTENDED_MAX):
        try:
            return await target.fetch(sql, *args)
        except Contended:
            if isinstance(target, Unit):
                raise
    return await target.fetch(sql, *args)


async def begin(database: Database, attempts: Sequence[Attempt]) -> dict[str, datetime]:
    """Inserts intents; when each new one was claimed, by trade id. The others met a bound key or quote.

    In the order of their keys, so that two batches rarely wait for each other in a circle.
    """
    attempts = sorted(attempts, key=lambda attempt: attempt.request.idempotency_key)
    requests = [attempt.request for attempt in attempts]
    rows = await uncontended(
        database,
        _BEGIN,
        [attempt.trade_id for attempt in attempts],
        [request.organization_id for request in requests],
        [request.idempotency_key for request in requests],
        [request.quote_id for request in requests],
        [request.pool_id for request in requests],
        [request.balance_gate_enabled for request in requests],
        [request.off_ramp_enabled for request in requests],
        [json.dumps(dict(request.notional_caps)) if request.notional_caps else None for request in requests],
        [request.request_id for request in requests],
        [request.traceparent for request in requests],
    )
    return {row["trade_id"]: row["claimed_at"] for row in rows}


async def bind_key(database: Database, alias_id: str, trade_id: str, request: TransactRequest) -> bool:
    """Binds another key to a reserved trade; False when the key was bound meanwhile."""
    row = await database.fetch_row(
        _BIND,
        alias_id,
        request.organization_id,
        request.idempotency_key,
        request.quote_id,
        request.pool_id,
        request.balance_gate_enabled,
        request.off_ramp_enabled,
        trade_id,
        request.request_id,
        request.traceparent,
    )
    return row is not None


_BY_QUOTE = """
SELECT a.position, i.trade_id, i.idempotency_key, i.quote_id, i.pool_id, i.state
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a (organization_id, quote_id, position)
JOIN intents i ON i.quote_id = a.quote_id AND i.organization_id = a.organization_id
             AND i.declined_at IS NULL AND i.alias_of IS NULL
ORDER BY i.state = 'reserved'
"""


async def find_by_quote(database: Database, asked: Sequence[tuple[str, str]]) -> list[KnownIntent | None]:
    """Finds what each (organization, quote id) is bound to.

    Beside the reserved one, which comes last and wins, another may be about to be refused: it named another pool.
    """
    rows = await database.fetch(_BY_QUOTE, [pair[0] for pair in asked], [pair[1] for pair in asked])
    found = {row["position"] - 1: _known(row) for row in rows}
    return [found.get(index) for index in range(len(asked))]


async def find_known(
    database: Database, requests: Sequence[TransactRequest]
) -> list[tuple[KnownIntent | None, KnownIntent | None]]:
    """Finds, for each request, what its key and what its quote in this pool are bound to."""
    rows = await database.fetch(
        _KNOWN,
        [request.organization_id for request in requests],
        [request.idempotency_key for request in requests],
        [request.quote_id for request in requests],
        [request.pool_id for request in requests],
    )
    by_key: dict[int, KnownIntent] = {}
    by_quote: dict[int, KnownIntent] = {}
    for row in rows:
        (by_key if row["by_key"] else by_quote)[row["position"] - 1] = _known(row)
    return [(by_key.get(index), by_quote.get(index)) for index in range(len(requests))]


async def mark_declining(target: Unit | Database, attempts: Sequence[Attempt], reasons: Sequence[str]) -> set[str]:
    """Compares and swaps running attempts to declining: the decision to undo, taken before anything is undone."""
    return {row["trade_id"] for row in await target.fetch(_DECLINING, *claims(attempts), list(reasons))}


async def mark_declined(
    database: Database, attempts: Sequence[Attempt], reasons: Sequence[str], *, was: IntentState
) -> set[str]:
    """Compares and swaps attempts that hold nothing any more to declined: key and quote are free again."""
    return {row["trade_id"] for row in await database.fetch(_DECLINED, *claims(attempts), list(reasons), was)}


async def take_over(
    database: Database, *, older_than_seconds: float, limit: int
) -> list[tuple[Attempt, IntentState, str]]:
    """Claims attempts whose driver has been silent too long; answers them with their state and decline reason."""
    rows = await database.fetch(_TAKE_OVER, older_than_seconds, limit)
    return [(_attempt(row), IntentState(row["state"]), row["decline_reason"] or "") for row in rows]


def claims(attempts: Sequence[Attempt]) -> tuple[list[str], list[int]]:
    """What a compare and swap compares: trade ids with the fencing numbers they were claimed under."""
    return [attempt.trade_id for attempt in attempts], [attempt.fencing for attempt in attempts]


def _known(row: Record) -> KnownIntent:
    return KnownIntent(
        trade_id=row["trade_id"],
        idempotency_key=row["idempotency_key"],
        quote_id=row["quote_id"],
        pool_id=row["pool_id"],
        state=IntentState(row["state"]),
    )


def _attempt(row: Record) -> Attempt:
    return Attempt(
        trade_id=row["trade_id"],
        fencing=row["fencing"],
        claimed_at=row["claimed_at"],
        resumed=True,
        request=TransactRequest(
            organization_id=row["organization_id"],
            request_id=row["request_id"],
            traceparent=row["traceparent"],
            idempotency_key=row["idempotency_key"],
            quote_id=row["quote_id"],
            pool_id=row["pool_id"],
            balance_gate_enabled=row["balance_gate_enabled"],
            off_ramp_enabled=row["off_ramp_enabled"],
            notional_caps=row["notional_caps"] or {},
        ),
    )
