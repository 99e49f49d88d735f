"""Owns the tables `trades` and `transitions`: writing moves, locking and reading trades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from poolkit.database import Database, Record, Unit
from trade.domain.cursor import Position
from trade.domain.lifecycle import Transition
from trade.domain.trade import Side, Status, Terms, Trade

COLUMNS = """
    t.trade_id, t.organization_id, t.quote_id, t.pool_id, t.side, t.fiat_currency, t.fiat_amount::text,
    t.crypto_currency, t.crypto_amount::text, t.rate::text, t.spread_bps, t.fee_bps, t.fee_amount::text, t.network,
    t.destination_address, t.deposit_address, t.network_transaction_id, t.client_reference, t.status,
    t.terminal_count, t.reconciliation_state, t.request_id, t.created_at, t.updated_at, t.terminal_at
"""

_MOVE = """
WITH a AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::text[], $14::timestamptz[],
                         $15::boolean[])
        AS a (trade_id, number, from_status, to_status, source, provider_event_id, webhook_id, reported_currency,
              reported_amount, network_transaction_id, occurred_at, request_id, traceparent, created_at, last)
), moved AS (
    INSERT INTO transitions (trade_id, number, from_status, to_status, source, provider_event_id, webhook_id,
                             reported_currency, reported_amount, network_transaction_id, occurred_at, business_date,
                             request_id, traceparent, created_at)
    SELECT trade_id, number, from_status, to_status, source, provider_event_id, webhook_id,
           nullif(reported_currency, ''), nullif(reported_amount, '')::numeric, network_transaction_id, occurred_at,
           (created_at AT TIME ZONE 'UTC')::date, request_id, traceparent, created_at
    FROM a
)
UPDATE trades t
SET status = a.to_status, terminal_count = a.number, updated_at = a.created_at,
    terminal_at = coalesce(t.terminal_at, a.created_at),
    network_transaction_id = coalesce(nullif(a.network_transaction_id, ''), t.network_transaction_id)
FROM a WHERE t.trade_id = a.trade_id AND a.last
"""

_LOCK = f"""
SELECT {COLUMNS}, t.traceparent, clock_timestamp() AS now
FROM trades t WHERE t.trade_id = ANY($1::text[]) ORDER BY t.trade_id FOR UPDATE
"""  # noqa: S608 - constants only
_BY_ID = f"SELECT {COLUMNS} FROM trades t WHERE t.trade_id = ANY($1::text[])"  # noqa: S608 - constants only

# Every condition is a bound of the index `trades_recent`, given or not: a page takes as long at the end of a long list
# as at its beginning, and a kept plan need not know which bounds were given.
_LIST = f"""
SELECT {COLUMNS} FROM trades t
WHERE t.organization_id = $1 AND (t.created_at, t.trade_id) < ($2, $3) AND t.created_at >= $4
ORDER BY t.created_at DESC, t.trade_id DESC LIMIT $5
"""  # noqa: S608 - constants only

# A page of each side and status asked for, merged: what is rare is found without reading all that it lies between.
_LIST_MATCHING = f"""
SELECT {COLUMNS} FROM (
    SELECT listed.created_at, listed.trade_id
    FROM unnest($6::text[]) AS asked (side) CROSS JOIN unnest($7::text[]) AS wanted (status) CROSS JOIN LATERAL (
        SELECT f.created_at, f.trade_id FROM trades f
        WHERE f.organization_id = $1 AND f.side = asked.side AND f.status = wanted.status
          AND (f.created_at, f.trade_id) < ($2, $3) AND f.created_at >= $4
        ORDER BY f.created_at DESC, f.trade_id DESC LIMIT $5
    ) AS listed
    ORDER BY listed.created_at DESC, listed.trade_id DESC LIMIT $5
) AS page JOIN trades t ON t.trade_id = page.trade_id
ORDER BY t.created_at DESC, t.trade_id DESC
"""  # noqa: S608 - constants only

_OVERDUE = """
SELECT t.trade_id, t.organization_id, t.request_id, t.created_at FROM trades t
WHERE t.status = 'reserved' AND t.created_at <= clock_timestamp() - make_interval(secs => $1)
  AND (t.created_at, t.trade_id) > ($2, $3)
ORDER BY t.created_at, t.trade_id LIMIT $4
"""

OLDEST_RESERVED = """
SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM trades
WHERE status = 'reserved' ORDER BY created_at, trade_id LIMIT 1
"""

# Before and after every trade there is.
_FIRST: Final = Position(datetime(1, 1, 1, tzinfo=UTC), "")
_LAST: Final = Position(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "")


@dataclass(frozen=True, slots=True)
class LockedTrade:
    """A trade under its row lock."""

    trade: Trade
    traceparent: str
    """Of the operation that reserved it."""
    now: datetime


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """Which trades a list shows; None means no restriction."""

    side: str | None = None
    status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What tells a list narrowed by it from one that is narrowed otherwise."""
        moments = (self.created_after, self.created_before)
        return (self.side or "", self.status or "", *(moment.isoformat() if moment else "" for moment in moments))


@dataclass(frozen=True, slots=True)
class OverdueTrade:
    """A trade that waits for its report."""

    trade_id: str
    organization_id: str
    request_id: str
    """Of the request that reserved it."""
    created_at: datetime


async def write_transitions(unit: Unit, transitions: Sequence[Transition]) -> None:
    """Writes moves of locked trades; the last move of a trade decides its row."""
    last = {transition.trade.trade_id: transition.trade.terminal_count for transition in transitions}
    reports = [transition.report for transition in transitions]
    trades = [transition.trade for transition in transitions]
    await unit.execute(
        _MOVE,
        [trade.trade_id for trade in trades],
        [trade.terminal_count for trade in trades],
        [transition.previous for transition in transitions],
        [trade.status for trade in trades],
        [report.source for report in reports],
        [report.provider_event_id for report in reports],
        [report.webhook_id for report in reports],
        [report.crypto_currency for report in reports],
        [report.crypto_amount for report in reports],
        [trade.network_transaction_id for trade in trades],
        [report.occurred_at for report in reports],
        [report.request_id for report in reports],
        [report.traceparent for report in reports],
        [trade.updated_at for trade in trades],
        [trade.terminal_count == last[trade.trade_id] for trade in trades],
    )


async def lock(unit: Unit, trade_ids: Sequence[str]) -> dict[str, LockedTrade]:
    """Locks trades in the order of their ids, so that two batches never wait for each other in a circle."""
    rows = await unit.fetch(_LOCK, sorted(set(trade_ids)))
    return {row["trade_id"]: LockedTrade(trade_of(row), row["traceparent"], row["now"]) for row in rows}


async def find_by_id(database: Database, trade_ids: Sequence[str]) -> dict[str, Trade]:
    """Reads trades by id, whoever's they are."""
    rows = await database.fetch(_BY_ID, list(trade_ids))
    return {row["trade_id"]: trade_of(row) for row in rows}


async def list_page(
    database: Database | Unit,
    organization_id: str,
    *,
    before: Position | None,
    matching: TradeFilter,
    limit: int,
) -> list[Trade]:
    """Reads an organization's trades, the newest first, older than `before`."""
    until = min(before or _LAST, Position(matching.created_before or _LAST.created_at, ""))
    bounds = (organization_id, *until, matching.created_after or _FIRST.created_at, limit)
    if matching.side is None and matching.status is None:
        rows = await database.fetch(_LIST, *bounds)
    else:
        sides = [matching.side] if matching.side else [str(side) for side in Side]
        statuses = [matching.status] if matching.status else [str(status) for status in Status]
        rows = await database.fetch(_LIST_MATCHING, *bounds, sides, statuses)
    return [trade_of(row) for row in rows]


async def list_overdue(
    database: Database, *, age_seconds_min: float, after: Position | None, limit: int
) -> list[OverdueTrade]:
    """Reads trades of all organizations reserved for at least so long, the oldest first, younger than `after`."""
    rows = await database.fetch(_OVERDUE, float(age_seconds_min), *(after or _FIRST), limit)
    return [OverdueTrade(row["trade_id"], row["organization_id"], row["request_id"], row["created_at"]) for row in rows]


async def oldest_reserved_seconds(database: Database) -> float:
    """How long the oldest reserved trade has been reserved; 0 when there is none."""
    return max(await database.fetch_value(OLDEST_RESERVED) or 0.0, 0.0)


def trade_of(row: Record) -> Trade:
    return Trade(
        trade_id=row["trade_id"],
        organization_id=row["organization_id"],
        quote_id=row["quote_id"],
        pool_id=row["pool_id"],
        terms=Terms(
            side=Side(row["side"]),
            fiat_currency=row["fiat_currency"],
            fiat_amount=row["fiat_amount"],
            crypto_currency=row["crypto_currency"],
            crypto_amount=row["crypto_amount"],
            rate=row["rate"],
            spread_bps=row["spread_bps"],
            fee_bps=row["fee_bps"],
            fee_amount=row["fee_amount"],
            network=row["network"],
            destination_address=row["destination_address"],
            client_reference=row["client_reference"],
        ),
        status=Status(row["status"]),
        request_id=row["request_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        terminal_at=row["terminal_at"],
        deposit_address=row["deposit_address"],
        network_transaction_id=row["network_transaction_id"],
        reconciliation_state=row["reconciliation_state"],
        terminal_count=row["terminal_count"],
    )
