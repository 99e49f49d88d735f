"""Owns the table `terminal_events`: the inbox, in which each terminal event of a trade has its effect once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from poolkit.database import Unit
from quote.domain.inventory import NUMBERS, Change, Ending
from quote.domain.pools import Side
from quote.domain.quotes import Outcome
from quote.store.stock import count_days, move, move_total

# Locked against a give-back of the same trade, which would move the same inventory.
_LOCK_TERMS = """
SELECT c.trade_id, c.outcome, q.quote_id, q.pool_id, q.side, q.crypto_amount, q.fiat_amount
FROM consumptions c JOIN quotes q ON q.quote_id = c.quote_id
WHERE c.trade_id = ANY($1::text[])
ORDER BY c.trade_id FOR UPDATE OF c
"""

_APPLY = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::numeric[],
        $9::numeric[], $10::numeric[], $11::date[], $12::text[], $13::text[], $14::text[]
    ) AS a (trade_id, number, event_id, status, quote_id, pool_id, crypto_total, crypto_committed, fiat_total,
            fiat_committed, business_date, source, request_id, traceparent)
), fresh AS (
    INSERT INTO terminal_events (trade_id, number, event_id, status, quote_id, pool_id, crypto_total,
                                 crypto_committed, fiat_total, fiat_committed, business_date, source, request_id,
                                 traceparent, created_at)
    SELECT a.*, clock_timestamp() FROM asked a
    ON CONFLICT DO NOTHING
    RETURNING event_id, pool_id, crypto_total, crypto_committed, fiat_total, fiat_committed, business_date
), sums AS (
    SELECT pool_id, sum(crypto_total) AS crypto_total, sum(crypto_committed) AS crypto_committed,
           sum(fiat_total) AS fiat_total, sum(fiat_committed) AS fiat_committed
    FROM fresh GROUP BY pool_id
), changes AS (
    SELECT p.pool_id, c.currency, c.total, c.committed
    FROM sums s JOIN pools p ON p.pool_id = s.pool_id CROSS JOIN LATERAL (VALUES
        (p.crypto_currency, s.crypto_total, s.crypto_committed), (p.fiat_currency, s.fiat_total, s.fiat_committed)
    ) AS c (currency, total, committed)
    WHERE c.total <> 0 OR c.committed <> 0
), {move(move_total("l.total", committed="l.committed"))}, movements AS (
    SELECT f.pool_id, c.currency, c.amount, f.business_date
    FROM fresh f JOIN pools p ON p.pool_id = f.pool_id CROSS JOIN LATERAL (VALUES
        (p.crypto_currency, f.crypto_total), (p.fiat_currency, f.fiat_total)
    ) AS c (currency, amount)
), {count_days("movements")}
SELECT event_id FROM fresh
"""  # noqa: S608 - constants only

_KNOWN = "SELECT event_id FROM terminal_events WHERE event_id = ANY($1::text[])"


@dataclass(frozen=True, slots=True)
class ConsumedTerms:
    """What a trade consumed."""

    outcome: Outcome
    quote_id: str
    pool_id: str
    side: Side
    crypto_amount: Decimal
    fiat_amount: Decimal


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """One terminal event of a trade, with the context it came with."""

    event_id: str
    trade_id: str
    ending: Ending
    business_date: date
    source: str
    """Where it came from: topic, partition and offset, with slashes between."""
    request_id: str
    traceparent: str

    @property
    def number(self) -> int:
        """Its number among its trade's terminal events."""
        return NUMBERS[self.ending]


async def lock_terms(unit: Unit, trade_ids: Collection[str]) -> dict[str, ConsumedTerms]:
    """What the trades consumed, by trade id, locked until the unit ends."""
    return {
        row["trade_id"]: ConsumedTerms(
            Outcome(row["outcome"]),
            row["quote_id"],
            row["pool_id"],
            Side(row["side"]),
            row["crypto_amount"],
            row["fiat_amount"],
        )
        for row in await unit.fetch(_LOCK_TERMS, list(trade_ids))
    }


async def apply(unit: Unit, events: Sequence[tuple[TerminalEvent, ConsumedTerms, Change]]) -> set[str]:
    """Stores the events that are new and adds their changes to inventory; answers the new ones' ids."""
    events = sorted(events, key=lambda item: (item[0].trade_id, item[0].number))
    values = [
        (
            event.trade_id, event.number, event.event_id, event.ending, terms.quote_id, terms.pool_id,
            change.crypto_total, change.crypto_committed, change.fiat_total, change.fiat_committed,
            event.business_date, event.source, event.request_id, event.traceparent,
        )
        for event, terms, change in events
    ]  # fmt: skip
    return {row["event_id"] for row in await unit.fetch(_APPLY, *zip(*values, strict=True))}


async def known(unit: Unit, event_ids: Collection[str]) -> set[str]:
    """Those of the events that were applied before."""
    return {row["event_id"] for row in await unit.fetch(_KNOWN, list(event_ids))}
