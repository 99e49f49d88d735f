"""Owns the holds' rows: taking, ending and reading them, always under the lock of the partner account they weigh on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ledger.domain.amounts import text_of
from ledger.domain.holds import HoldRequest, StoredHold
from ledger.store.arrays import decimals, numbers, texts
from poolkit.database import Database, Unit

_COLUMNS = "trade_id, organization_id, account_id, amount, quote_id, request_id, client_reference, traceparent"

# The whole of the usual case: accounts locked in their order, those that can bear all that is asked of them, their
# holds (sorted, so nothing is inserted before the last lock is had), and what they weigh.
_TAKE = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::numeric[],
                         $5::text::text[], $6::text::text[], $7::text::text[], $8::text::text[], $9::boolean[])
        AS asked ({_COLUMNS}, gated)
), locked AS MATERIALIZED (
    SELECT id, balance - held AS available FROM accounts WHERE id = ANY ($10::bigint[]) ORDER BY id FOR NO KEY UPDATE
), bearing AS (
    SELECT asked.account_id FROM asked JOIN locked ON locked.id = asked.account_id
    GROUP BY asked.account_id, locked.available
    HAVING NOT bool_or(gated) OR sum(amount) <= locked.available
), taken AS (
    INSERT INTO holds ({_COLUMNS}, state)
    SELECT {_COLUMNS}, 'open' FROM asked JOIN bearing USING (account_id) ORDER BY trade_id
    ON CONFLICT (trade_id) DO NOTHING
    RETURNING trade_id, account_id, amount
), weighed AS (
    UPDATE accounts SET held = held + weight.amount, open_holds = open_holds + weight.holds
    FROM (SELECT account_id, sum(amount) AS amount, count(*) AS holds FROM taken GROUP BY account_id) AS weight
    WHERE accounts.id = weight.account_id
)
SELECT trade_id FROM taken
"""  # noqa: S608 - constants only

_LOCK = """
SELECT id, (balance - held)::text AS available FROM accounts
WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

_FIND = "SELECT trade_id, organization_id, state FROM holds WHERE trade_id = ANY ($1::text[])"

_KEEP = f"""
WITH kept AS (
    INSERT INTO holds ({_COLUMNS}, state, ended_at)
    SELECT {_COLUMNS}, state, CASE WHEN state <> 'open' THEN now() END
    FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::numeric[], $5::text::text[],
                $6::text::text[], $7::text::text[], $8::text::text[], $9::text::text[]) AS kept ({_COLUMNS}, state)
    ORDER BY trade_id
    ON CONFLICT (trade_id) DO NOTHING
    RETURNING trade_id, account_id, amount, state
), weighed AS (
    UPDATE accounts SET held = held + weight.amount, open_holds = open_holds + weight.holds
    FROM (
        SELECT account_id, sum(amount) AS amount, count(*) AS holds FROM kept WHERE state = 'open' GROUP BY account_id
    ) AS weight
    WHERE accounts.id = weight.account_id
)
SELECT trade_id FROM kept
"""  # noqa: S608 - constants only

# Sees the rows as of its beginning, so what changed while it waited for a lock may need another look: the answer leaves
# such trade ids out.
_VOID = """
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
        AS asked (trade_id, organization_id, request_id, traceparent)
), seen AS MATERIALIZED (
    SELECT trade_id, account_id, state, holds.organization_id = asked.organization_id AS own
    FROM holds JOIN asked USING (trade_id)
), locked AS MATERIALIZED (
    SELECT id FROM accounts WHERE id IN (SELECT account_id FROM seen WHERE own AND state = 'open')
    ORDER BY id FOR NO KEY UPDATE
), ended AS (
    UPDATE holds SET state = 'voided', ended_at = now()
    FROM seen
    WHERE holds.trade_id = seen.trade_id AND seen.own AND holds.state = 'open' AND (SELECT count(*) FROM locked) > 0
    RETURNING holds.trade_id, holds.account_id, holds.amount
), weighed AS (
    UPDATE accounts SET held = held - weight.amount, open_holds = open_holds - weight.holds
    FROM (SELECT account_id, sum(amount) AS amount, count(*) AS holds FROM ended GROUP BY account_id) AS weight
    WHERE accounts.id = weight.account_id
), buried AS (
    INSERT INTO holds (trade_id, organization_id, amount, state, request_id, traceparent, ended_at)
    SELECT trade_id, organization_id, 0, 'voided', request_id, traceparent, now()
    FROM asked WHERE trade_id NOT IN (SELECT trade_id FROM seen) AND (SELECT count(*) FROM locked) >= 0
    ORDER BY trade_id
    ON CONFLICT (trade_id) DO NOTHING
    RETURNING trade_id
)
SELECT trade_id, true AS voided FROM ended
UNION ALL SELECT trade_id, false FROM buried
UNION ALL SELECT trade_id, false FROM seen WHERE NOT own OR state <> 'open'
"""

_TOMBSTONES = """
INSERT INTO holds (trade_id, organization_id, amount, state, request_id, traceparent, ended_at)
SELECT trade_id, organization_id, 0, 'voided', request_id, traceparent, now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
    AS ended (trade_id, organization_id, request_id, traceparent)
ON CONFLICT (trade_id) DO NOTHING
"""


class Tombstone(NamedTuple):
    """A trade id that must not get a hold any more, and the operation that says so."""

    trade_id: str
    organization_id: str
    request_id: str
    traceparent: str


def _columns(requests: Sequence[HoldRequest], account_ids: Iterable[int]) -> tuple[str, ...]:
    return (
        texts([request.trade_id for request in requests]),
        texts([request.organization_id for request in requests]),
        numbers(account_ids),
        decimals([text_of(request.amount, request.currency) for request in requests]),
        texts([request.quote_id for request in requests]),
        texts([request.request_id for request in requests]),
        texts([request.client_reference for request in requests]),
        texts([request.traceparent for request in requests]),
    )


async def take_holds(database: Database, requests: Sequence[HoldRequest], account_ids: Sequence[int]) -> set[str]:
    """Takes the holds that need no thought, in one statement; answers their trade ids.

    Left out are repeated trade ids, and all requests of an account that cannot bear them all.
    """
    rows: list[Any] = await database.fetch(
        _TAKE, *_columns(requests, account_ids), [request.gated for request in requests], sorted(set(account_ids))
    )
    return {row["trade_id"] for row in rows}


async def lock_available(unit: Unit, account_ids: Iterable[int]) -> dict[int, str]:
    """Locks the accounts in their order; answers what is available on each."""
    rows: list[Any] = await unit.fetch(_LOCK, sorted(set(account_ids)))
    return {row["id"]: row["available"] for row in rows}


async def find_holds(unit: Unit, trade_ids: Sequence[str]) -> dict[str, StoredHold]:
    """What is stored of the trade ids."""
    rows: list[Any] = await unit.fetch(_FIND, trade_ids)
    return {row["trade_id"]: StoredHold(row["organization_id"], row["state"]) for row in rows}


async def keep_holds(
    unit: Unit, requests: Sequence[HoldRequest], account_ids: Sequence[int], states: Mapping[str, str]
) -> set[str]:
    """Stores decided holds, refused ones too; answers their trade ids. Left out is what others stored meanwhile."""
    rows: list[Any] = await unit.fetch(
        _KEEP, *_columns(requests, account_ids), texts([states[request.trade_id] for request in requests])
    )
    return {row["trade_id"] for row in rows}


async def void_holds(database: Database, tombstones: Sequence[Tombstone]) -> dict[str, bool]:
    """Ends open holds and leaves tombstones, one statement; answers by trade id whether a hold ended now.

    A trade id that is missing from the answer changed meanwhile: ask again. The trade ids come sorted, each once.
    """
    rows: list[Any] = await database.fetch(_VOID, *zip(*tombstones, strict=True))
    return {row["trade_id"]: row["voided"] for row in rows}


async def leave_tombstones(unit: Unit, tombstones: Sequence[Tombstone]) -> None:
    """Refuses later holds of these trades, which have no row yet. The trade ids come sorted."""
    await unit.execute(_TOMBSTONES, *zip(*tombstones, strict=True))
