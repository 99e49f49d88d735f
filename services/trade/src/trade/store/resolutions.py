"""Owns the table `resolutions`: what a person decided about a trade, why, and who it was. Rows never change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from poolkit.database import Unit

_FIND: Final = "SELECT resolution, reason, resolved_by FROM resolutions WHERE trade_id = $1"
_KEEP: Final = """
INSERT INTO resolutions (trade_id, resolution, reason, resolved_by, request_id, traceparent, created_at)
VALUES ($1, 'release', $2, $3, $4, $5, $6)
"""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Why a trade was let go, and by whom."""

    reason: str
    resolved_by: str


async def find(unit: Unit, trade_id: str) -> Resolution | None:
    """What was decided about a locked trade, if anything was."""
    row = await unit.fetch_row(_FIND, trade_id)
    return Resolution(row["reason"], row["resolved_by"]) if row else None


async def keep(
    unit: Unit, trade_id: str, resolution: Resolution, *, request_id: str, traceparent: str, now: datetime
) -> None:
    """Stores the decision beside the transition it makes."""
    await unit.execute(_KEEP, trade_id, resolution.reason, resolution.resolved_by, request_id, traceparent, now)
