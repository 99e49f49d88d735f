"""Owns what the daily close says of trades: the columns `reconciliation_state`, `closed_date`, `closed_revision`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

from poolkit.database import Database

# `updated_at` stays: the trade has not moved. Rows are locked in the order of their ids, as reports lock them.
_SET: Final = """
WITH locked AS MATERIALIZED (
    SELECT t.trade_id, given.state, t.reconciliation_state AS before,
           (coalesce(t.closed_date, '-infinity'), t.closed_revision) > ($3, $4) AS superseded
    FROM unnest($1::text[], $2::text[]) AS given (trade_id, state) JOIN trades t ON t.trade_id = given.trade_id
    ORDER BY t.trade_id FOR NO KEY UPDATE OF t
), moved AS (
    UPDATE trades t
    SET reconciliation_state = locked.state, closed_date = $3, closed_revision = $4, close_id = $5
    FROM locked
    WHERE t.trade_id = locked.trade_id AND NOT locked.superseded
      AND (t.reconciliation_state, t.closed_date, t.closed_revision, t.close_id)
          IS DISTINCT FROM (locked.state, $3, $4, $5)
)
SELECT trade_id, CASE WHEN superseded THEN before ELSE state END, superseded FROM locked
"""


class Finding(NamedTuple):
    """What the trade says after a close has spoken."""

    state: str
    superseded: bool
    """Whether a newer close had spoken, and was kept."""


async def set_states(
    database: Database, states: Mapping[str, str], *, business_date: date, revision: int, close_id: str
) -> dict[str, Finding]:
    """Sets each trade's state unless a newer close has spoken; trades that do not exist are left out. Repeatable."""
    rows = await database.fetch(_SET, list(states), list(states.values()), business_date, revision, close_id)
    return {trade_id: Finding(state, superseded) for trade_id, state, superseded in rows}
