"""Taking deliveries up again: the same event to the same endpoint, its schedule from the beginning."""

from typing import Final, NamedTuple

from gateway.store.deliveries import DUE_CHANNEL
from gateway.store.delivery_search import DeliveryFilter, conditions
from poolkit.database import Database, Unit

# Not while an attempt is under way, which is when the last one begun has no row yet and its claim still holds: that is
# the attempt that was asked for.
_REPLAY: Final = """
WITH replayed AS (
    UPDATE deliveries d
       SET state = 'pending', next_attempt_at = clock_timestamp(), earlier_attempts = d.attempt_count,
           delivered_at = NULL
     WHERE d.delivery_id = ANY ($1::text[])
       AND (d.state <> 'pending' OR d.attempt_count = 0 OR d.next_attempt_at <= now()
            OR EXISTS (SELECT 1 FROM delivery_attempts a
                        WHERE a.delivery_id = d.delivery_id AND a.number = d.attempt_count))
    RETURNING d.delivery_id, d.attempt_count
)
INSERT INTO delivery_replays (delivery_id, attempts_before, replayed_by, request_id, traceparent)
SELECT delivery_id, attempt_count, $2, $3, $4 FROM replayed
RETURNING delivery_id
"""
_NOTIFY: Final = f"SELECT pg_notify('{DUE_CHANNEL}', '')"


class Replayer(NamedTuple):
    """Who asks for a replay, and in which operation."""

    name: str
    request_id: str
    traceparent: str


async def replay_one(database: Database, delivery_id: str, replayer: Replayer) -> bool:
    """Makes it due now; False where an attempt is under way, or where there is no such delivery."""
    async with database.transaction() as unit:
        replayed = await _replay(unit, [delivery_id], replayer)
        await unit.commit()
    return bool(replayed)


async def replay_range(
    database: Database, wanted: DeliveryFilter, replayer: Replayer, *, after: str, limit: int
) -> tuple[list[str], str]:
    """Makes due now what is wanted, oldest first, behind the id `after`: up to `limit`, and where to go on ("": done).

    Deliveries that somebody writes to at this moment are left to them.
    """
    where, arguments = conditions(wanted)
    arguments += [after, limit]
    where.append(f"d.delivery_id > ${len(arguments) - 1}")
    async with database.transaction() as unit:
        rows = await unit.fetch(
            f"SELECT d.delivery_id FROM deliveries d WHERE {' AND '.join(where)}"  # noqa: S608 - no values
            f" ORDER BY d.delivery_id LIMIT ${len(arguments)} FOR UPDATE SKIP LOCKED",
            *arguments,
        )
        found = [row["delivery_id"] for row in rows]
        replayed = await _replay(unit, found, replayer)
        await unit.commit()
    return replayed, found[-1] if len(found) == limit else ""


async def _replay(unit: Unit, delivery_ids: list[str], replayer: Replayer) -> list[str]:
    rows = await unit.fetch(_REPLAY, delivery_ids, *replayer)
    if rows:
        await unit.fetch(_NOTIFY)
    return [row["delivery_id"] for row in rows]
