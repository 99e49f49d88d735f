"""Owns the table `quote_holds`: what open quotes hold, until they are rejected or run out."""

from collections.abc import Sequence

from poolkit.context import CallContext
from poolkit.database import Database
from quote.domain.quotes import Quote, Status
from quote.store.quotes import COLUMNS, quote_of
from quote.store.stock import move, summed

_FREED = move("held = i.held - l.amount")

_REJECT = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
        AS a (quote_id, organization_id, request_id, traceparent)
), open AS MATERIALIZED (
    SELECT a.* FROM asked a CROSS JOIN LATERAL (
        SELECT FROM quote_holds h
        WHERE h.quote_id = a.quote_id AND h.organization_id || '' = a.organization_id
          AND h.expires_at > clock_timestamp()
        FOR UPDATE) h
), gone AS (
    DELETE FROM quote_holds WHERE quote_id = ANY (ARRAY(SELECT quote_id FROM open))
    RETURNING quote_id, pool_id, currency, amount
), kept AS (
    INSERT INTO rejections (quote_id, request_id, traceparent, created_at)
    SELECT quote_id, request_id, traceparent, clock_timestamp() FROM open
), {summed("gone")}, {_FREED}
SELECT {COLUMNS} FROM gone g JOIN quotes q ON q.quote_id = g.quote_id
"""  # noqa: S608 - constants only


def _release(due: str) -> str:
    return f"""
WITH due AS MATERIALIZED ({due}), gone AS (
    DELETE FROM quote_holds WHERE quote_id = ANY (ARRAY(SELECT quote_id FROM due)) RETURNING pool_id, currency, amount
), {summed("gone")}, {_FREED}
SELECT count(*) FROM gone
"""  # noqa: S608 - constants only


# Somebody is just deciding what is locked: passing it by costs nothing, the next round finds it if it is still there.
_RELEASE_SOME = _release("""
    SELECT quote_id FROM quote_holds WHERE expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED""")

# Here somebody waits for the inventory, and a release that is under way elsewhere is worth waiting for. In the order in
# which quotes are consumed and rejected, whatever the database sorts by.
_RELEASE_IN_POOLS = _release("""
    SELECT quote_id FROM quote_holds WHERE expires_at <= now() AND pool_id = ANY($2::text[])
    ORDER BY quote_id COLLATE "C" LIMIT $1 FOR UPDATE""")


async def reject(database: Database, asked: Sequence[tuple[str, CallContext]]) -> dict[str, Quote]:
    """Compares and swaps active quotes to rejected and frees what they held; answers those it was done to.

    In the order of the quotes, as whoever waits for holds locks them.
    """
    asked = sorted(asked, key=lambda item: item[0])
    rows = await database.fetch(
        _REJECT,
        [quote_id for quote_id, _ in asked],
        [context.organization_id for _, context in asked],
        [context.request_id for _, context in asked],
        [context.traceparent for _, context in asked],
    )
    return {row[0]: quote_of(row, Status.REJECTED) for row in rows}


async def release_expired(database: Database, limit: int) -> int:
    """Frees what quotes held whose time ran out, the oldest first; answers how many they were."""
    return int(await database.fetch_value(_RELEASE_SOME, limit))


async def release_expired_in(database: Database, pool_ids: Sequence[str], limit: int) -> int:
    """The same in some pools, waiting for whoever is just releasing or deciding there."""
    return int(await database.fetch_value(_RELEASE_IN_POOLS, limit, pool_ids))
