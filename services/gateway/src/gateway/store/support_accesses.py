"""Table `support_accesses`: who searched for which id, when, and what came of it. Written once, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolkit.database import Database

_INSERT: Final = """
INSERT INTO support_accesses (caller, asked_by, searched_id, outcome, missing_services, request_id, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


@dataclass(frozen=True, slots=True)
class Access:
    """One search, as it is kept."""

    caller: str
    asked_by: str
    searched_id: str
    outcome: str
    missing_services: Sequence[str]
    request_id: str
    traceparent: str


async def insert_access(database: Database, access: Access) -> None:
    """Keeps one access for good. Raises Unavailable."""
    await database.execute(
        _INSERT,
        access.caller,
        access.asked_by,
        access.searched_id,
        access.outcome,
        access.missing_services,
        access.request_id,
        access.traceparent,
    )
