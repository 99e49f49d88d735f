"""Owns the rows of a close's exceptions: keeping them, pairing candidates, telling what changed between revisions."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ledger.domain.close.facts import Amount
from ledger.domain.close.findings import Finding, Ids, Sided, said_amount
from ledger.domain.close.kinds import Kind
from poolkit.database import Database, Unit

PAGE_ROWS: Final = 500
CANDIDATES_MAX: Final = 5
PAIRED_MAX: Final = 1_000
"""How many exceptions of a close are paired by amount: past that many, something else is wrong than single trades."""

_KEEP = """
INSERT INTO close_exceptions (close_id, number, kind, fingerprint, organization_id, trade_id, event_id, ids, amounts,
                              amount_keys, occurred_at, age_seconds, description)
SELECT $1, number, kind, fingerprint, organization_id, trade_id, event_id, ids::jsonb, amounts::jsonb,
       string_to_array(amount_keys, ','), occurred_at, age_seconds, description
FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::text[], $11::timestamptz[], $12::bigint[], $13::text[])
    AS found (number, kind, fingerprint, organization_id, trade_id, event_id, ids, amounts, amount_keys, occurred_at,
              age_seconds, description)
"""

_TOLD_OF = """
SELECT event_id FROM close_exceptions WHERE close_id = $1 AND event_id = ANY ($2::text[]) AND kind = $3
"""

_PAIR = f"""
WITH lonely AS MATERIALIZED (
    SELECT number, kind, trade_id, occurred_at, amount_keys FROM close_exceptions
    WHERE close_id = $1 AND cardinality(amount_keys) > 0 ORDER BY number LIMIT {PAIRED_MAX}
), keyed AS (
    SELECT number, kind, trade_id, occurred_at, unnest(amount_keys) AS key FROM lonely
), pairs AS (
    SELECT one.number, other.number AS candidate,
           min(abs(extract(epoch FROM other.occurred_at - one.occurred_at)))::bigint AS apart
    FROM keyed AS one JOIN keyed AS other USING (key)
    WHERE one.number <> other.number AND one.kind <> other.kind
      AND (one.trade_id = '' OR one.trade_id <> other.trade_id)
    GROUP BY one.number, other.number
), ranked AS (
    SELECT number, candidate, apart, row_number() OVER (PARTITION BY number ORDER BY apart, candidate) AS rank
    FROM pairs WHERE apart IS NOT NULL
)
INSERT INTO close_candidates (close_id, number, rank, candidate_number, apart_seconds)
SELECT $1, number, rank, candidate, apart FROM ranked WHERE rank <= {CANDIDATES_MAX}
"""  # noqa: S608 - constants only

_ONLY_IN = """
SELECT kind, ids, count(*) OVER () AS total FROM close_exceptions AS one
WHERE close_id = $1 AND NOT EXISTS (
    SELECT FROM close_exceptions AS other WHERE other.close_id = $2 AND other.fingerprint = one.fingerprint
)
ORDER BY number LIMIT $3
"""

_READ = f"""
SELECT number, kind, ids, amounts, occurred_at, age_seconds, description, fingerprint, (
    SELECT json_agg(json_build_array(other.number, other.kind, other.ids, candidates.apart_seconds)
                    ORDER BY candidates.rank)
    FROM close_candidates AS candidates
    JOIN close_exceptions AS other
        ON other.close_id = candidates.close_id AND other.number = candidates.candidate_number
    WHERE candidates.close_id = one.close_id AND candidates.number = one.number
) AS candidates
FROM close_exceptions AS one
WHERE close_id = $1 AND number > $2 AND (cardinality($3::text[]) = 0 OR kind = ANY ($3::text[]))
ORDER BY number LIMIT {PAGE_ROWS}
"""  # noqa: S608 - constants only


class Candidate(NamedTuple):
    """Another exception of the same close with the same amount."""

    number: int
    kind: Kind
    ids: Ids
    apart_seconds: int


class ExceptionRow(NamedTuple):
    """An exception as stored."""

    number: int
    kind: Kind
    ids: Ids
    amounts: tuple[Sided, ...]
    occurred_at: datetime | None
    age_seconds: int
    description: str
    fingerprint: bytes
    candidates: tuple[Candidate, ...]


async def keep_exceptions(
    unit: Unit, close_id: str, findings: Sequence[Finding], *, first_number: int, cut_ms: int
) -> None:
    """Stores findings in their order, numbered from `first_number`; their age is up to the cut."""
    await unit.execute(
        _KEEP,
        close_id,
        list(range(first_number, first_number + len(findings))),
        [str(finding.kind) for finding in findings],
        [finding.fingerprint for finding in findings],
        [finding.ids.organization_id for finding in findings],
        [finding.ids.trade_id for finding in findings],
        [finding.ids.event_id for finding in findings],
        [json.dumps(finding.ids.known) for finding in findings],
        [json.dumps([[each.side, each.of, *(each.amount or ())] for each in finding.amounts]) for finding in findings],
        [",".join(_keys(finding)) for finding in findings],
        [datetime.fromtimestamp(each.occurred_ms / 1000, UTC) if each.occurred_ms else None for each in findings],
        [max(0, cut_ms - each.occurred_ms) // 1000 if each.occurred_ms else 0 for each in findings],
        [finding.description.replace("\x00", "") for finding in findings],
    )


async def told_of(unit: Unit, close_id: str, kind: Kind, event_ids: Sequence[str]) -> set[str]:
    """Those of the events that an exception of this kind names already."""
    return {row["event_id"] for row in await unit.fetch(_TOLD_OF, close_id, event_ids, str(kind))}


async def pair_candidates(unit: Unit, close_id: str) -> None:
    """Lists, with each exception that lacks a counterpart, others that have an amount of its own, the nearest first."""
    await unit.plan_for_report()
    await unit.execute(_PAIR, close_id)


async def only_in(unit: Unit, close_id: str, other_id: str, limit: int) -> tuple[int, list[str]]:
    """How many exceptions one close has that another lacks, and the first of them in words."""
    rows: list[Any] = await unit.fetch(_ONLY_IN, close_id, other_id, limit)
    told = [f"{kind}: {', '.join(f'{name} {id_}' for name, id_ in Ids(**ids).known.items())}" for kind, ids, _ in rows]
    return (rows[0]["total"] if rows else 0), told


async def read_exceptions(
    database: Database, close_id: str, *, after_number: int, kinds: Sequence[str]
) -> AsyncIterator[list[ExceptionRow]]:
    """A close's exceptions by number, a page at a time; only those of `kinds`, unless it is empty."""
    while rows := await database.fetch(_READ, close_id, after_number, kinds):
        yield [_exception(row) for row in rows]
        after_number = rows[-1]["number"]


def _exception(row: Any) -> ExceptionRow:
    number, kind, ids, amounts, occurred_at, age_seconds, description, fingerprint, candidates = row
    return ExceptionRow(
        number,
        Kind(kind),
        Ids(**ids),
        tuple([Sided(side, of, Amount(*amount) if amount else None) for side, of, *amount in amounts]),
        occurred_at,
        age_seconds,
        description,
        fingerprint,
        tuple([Candidate(number, Kind(of), Ids(**known), apart) for number, of, known, apart in candidates])
        if candidates
        else (),
    )


def _keys(finding: Finding) -> list[str]:
    if not finding.unmatched:
        return []
    amounts = {Amount(abs(each.amount.units), each.amount.currency) for each in finding.amounts if each.amount}
    return sorted(said_amount(amount) for amount in amounts)
