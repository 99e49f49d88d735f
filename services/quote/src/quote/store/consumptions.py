"""Owns the table `consumptions`: which trade id took which quote, the first answer to each, and tombstones."""

from collections.abc import Sequence
from dataclasses import dataclass

from poolkit.context import CallContext
from poolkit.database import Database, Record
from quote.domain.quotes import Outcome, Quote, Status
from quote.store.quotes import COLUMNS, STATUS_COLUMNS, STATUS_JOINS, quote_of, quote_with_status
from quote.store.stock import HOLD, move, summed

# The hold's lock makes sure of the quote, the primary key of the trade id: a tombstone written meanwhile wins, and the
# hold stays where it is. A question that was answered before leaves everything as it is, too. Holds are looked up one
# by one, in the order asked, by their quote alone: joined, or by organization, all open ones would be read (ADR 13).
_CONSUME = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[])
        AS a (trade_id, quote_id, organization_id, pool_id, off_ramp_enabled, request_id, traceparent)
), open AS MATERIALIZED (
    SELECT a.* FROM asked a CROSS JOIN LATERAL (
        SELECT FROM quote_holds h
        WHERE h.quote_id = a.quote_id AND h.organization_id || '' = a.organization_id AND h.pool_id = a.pool_id
          AND (h.side = 'on_ramp' OR a.off_ramp_enabled) AND h.expires_at > clock_timestamp()
        FOR UPDATE) h
), answered AS (
    INSERT INTO consumptions (trade_id, quote_id, organization_id, outcome, request_id, traceparent, created_at)
    SELECT trade_id, quote_id, organization_id, 'consumed', request_id, traceparent, clock_timestamp() FROM open
    ON CONFLICT DO NOTHING
    RETURNING trade_id, quote_id
), taken AS (
    DELETE FROM quote_holds WHERE quote_id = ANY (ARRAY(SELECT quote_id FROM answered))
    RETURNING pool_id, currency, amount
), {summed("taken")}, {move("held = i.held - l.amount, committed = i.committed + l.amount")}
SELECT n.trade_id, {COLUMNS} FROM answered n JOIN quotes q ON q.quote_id = n.quote_id
"""  # noqa: S608 - constants only

_EXPLAIN = f"""
SELECT a.trade_id AS asked_trade_id, known.quote_id AS known_quote_id, known.organization_id AS known_organization_id,
       known.outcome, known.refusal_reason, {COLUMNS}, {STATUS_COLUMNS}
FROM unnest($1::text[], $2::text[]) AS a (trade_id, quote_id)
LEFT JOIN consumptions known ON known.trade_id = a.trade_id
LEFT JOIN quotes q ON q.quote_id = a.quote_id {STATUS_JOINS}
"""  # noqa: S608 - constants only

_ANSWER = """
INSERT INTO consumptions (trade_id, quote_id, organization_id, outcome, refusal_reason, request_id, traceparent,
                          created_at, given_back_at)
SELECT a.trade_id, a.quote_id, a.organization_id,
       CASE WHEN a.refusal_reason IS NULL THEN 'given_back' ELSE 'refused' END, a.refusal_reason,
       a.request_id, a.traceparent, clock_timestamp(),
       CASE WHEN a.refusal_reason IS NULL THEN clock_timestamp() END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS a (trade_id, quote_id, organization_id, refusal_reason, request_id, traceparent)
ON CONFLICT (trade_id) DO NOTHING
RETURNING trade_id
"""

_LOCK = """
SELECT c.trade_id FROM unnest($1::text[], $2::text[]) AS a (trade_id, organization_id)
JOIN consumptions c ON c.trade_id = a.trade_id AND c.organization_id = a.organization_id
WHERE c.outcome = 'consumed'
ORDER BY c.trade_id FOR UPDATE OF c
"""

# A statement after the lock: it sees the terminal event of whoever held the lock before.
_GIVE_BACK = f"""
WITH undone AS (
    UPDATE consumptions c SET outcome = 'given_back', given_back_at = clock_timestamp()
    WHERE c.trade_id = ANY($1::text[]) AND c.outcome = 'consumed'
      AND NOT EXISTS (SELECT FROM terminal_events e WHERE e.trade_id = c.trade_id)
    RETURNING c.trade_id, c.quote_id
), back AS MATERIALIZED (
    SELECT u.trade_id, q.quote_id, q.organization_id, q.pool_id, q.side, q.expires_at, {HOLD},
           q.expires_at > clock_timestamp() AS active
    FROM undone u JOIN quotes q ON q.quote_id = u.quote_id
), holding AS (
    INSERT INTO quote_holds (quote_id, organization_id, pool_id, side, currency, amount, expires_at)
    SELECT quote_id, organization_id, pool_id, side, currency, amount, expires_at FROM back WHERE active
), changes AS (
    SELECT pool_id, currency, sum(amount) AS amount, coalesce(sum(amount) FILTER (WHERE active), 0) AS held
    FROM back GROUP BY pool_id, currency
), {move("committed = i.committed - l.amount, held = i.held + l.held")}
SELECT trade_id FROM back
"""  # noqa: S608 - constants only


# What can move no more: refused or given back, or ended by a terminal event.
_ENDED = """
SELECT c.trade_id FROM consumptions c WHERE c.trade_id = ANY($1::text[])
  AND (c.outcome <> 'consumed' OR EXISTS (SELECT FROM terminal_events e WHERE e.trade_id = c.trade_id))
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One question: may this trade id have this quote?"""

    context: CallContext
    trade_id: str
    quote_id: str
    pool_id: str
    off_ramp_enabled: bool
    resume_only: bool = False
    """Answers what is known; begins nothing."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of an attempt that took nothing just now."""

    outcome: Outcome | None
    """The first answer to the trade id, if there is one."""
    refusal_reason: str
    answered_for: tuple[str, str]
    """Organization and quote id of the first answer."""
    quote: Quote | None
    """The quote asked for, with its status."""


async def consume(database: Database, attempts: Sequence[Attempt]) -> dict[str, Quote]:
    """Consumes what can be, one attempt a quote; answers the terms by trade id.

    In the order of the quotes, as whoever waits for holds locks them.
    """
    attempts = sorted(attempts, key=lambda attempt: attempt.quote_id)
    rows = await database.fetch(
        _CONSUME,
        [attempt.trade_id for attempt in attempts],
        [attempt.quote_id for attempt in attempts],
        [attempt.context.organization_id for attempt in attempts],
        [attempt.pool_id for attempt in attempts],
        [attempt.off_ramp_enabled for attempt in attempts],
        [attempt.context.request_id for attempt in attempts],
        [attempt.context.traceparent for attempt in attempts],
    )
    return {row[0]: quote_of(row, Status.CONSUMED, first=1) for row in rows}


async def explain(database: Database, attempts: Sequence[Attempt]) -> dict[str, Explanation]:
    """By trade id: the stored answer, if any, and the quote as it is now."""
    rows = await database.fetch(
        _EXPLAIN, [attempt.trade_id for attempt in attempts], [attempt.quote_id for attempt in attempts]
    )
    return {row["asked_trade_id"]: _explanation(row) for row in rows}


async def answer(database: Database, answers: Sequence[tuple[Attempt, str | None]]) -> set[str]:
    """Stores refusals by reason, and tombstones for None; answers the trade ids that had no answer before."""
    answers = sorted(answers, key=lambda item: item[0].trade_id)
    rows = await database.fetch(
        _ANSWER,
        [attempt.trade_id for attempt, _ in answers],
        [attempt.quote_id for attempt, _ in answers],
        [attempt.context.organization_id for attempt, _ in answers],
        [reason for _, reason in answers],
        [attempt.context.request_id for attempt, _ in answers],
        [attempt.context.traceparent for attempt, _ in answers],
    )
    return {row["trade_id"] for row in rows}


async def bury(database: Database, attempts: Sequence[Attempt]) -> set[str]:
    """Leaves tombstones; answers the trade ids that will never hold anything, because of it or since before.

    Left out is a trade id that has consumed its quote meanwhile, and one that has but is another organization's.
    """
    buried = await answer(database, [(attempt, None) for attempt in attempts])
    rest = [attempt.trade_id for attempt in attempts if attempt.trade_id not in buried]
    return buried | {row["trade_id"] for row in await database.fetch(_ENDED, rest)} if rest else buried


async def give_back(database: Database, attempts: Sequence[Attempt]) -> set[str]:
    """Undoes consumptions that no terminal event has ended; answers the trade ids whose inventory moved."""
    async with database.transaction() as unit:
        mine = await unit.fetch(
            _LOCK,
            [attempt.trade_id for attempt in attempts],
            [attempt.context.organization_id for attempt in attempts],
        )
        if not mine:
            return set()
        rows = await unit.fetch(_GIVE_BACK, [row["trade_id"] for row in mine])
        await unit.commit()
    return {row["trade_id"] for row in rows}


def _explanation(row: Record) -> Explanation:
    return Explanation(
        outcome=Outcome(row["outcome"]) if row["outcome"] is not None else None,
        refusal_reason=row["refusal_reason"] or "",
        answered_for=(row["known_organization_id"], row["known_quote_id"]),
        quote=quote_with_status(row, first=5) if row["quote_id"] is not None else None,
    )
