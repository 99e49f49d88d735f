"""Owns the closes' own rows: keeping a close with its exceptions, and reading closes back. Rows never change."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from ledger.domain.close.contents import Contents
from poolkit.database import Contended, Database, Record, Unit

PAGE_ROWS: Final = 500

_COLUMNS = """close_id, mode, business_date, revision, provisional, cut_at, inbox_sequence, content_hash, contents,
       matched_count, exception_count, changes, request_id, requested_by, traceparent, created_at"""

_KEEP = f"""
INSERT INTO closes ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                                        clock_timestamp())
ON CONFLICT (business_date, revision) DO NOTHING
RETURNING created_at
"""  # noqa: S608 - constants only

_FIND = f"""
SELECT {_COLUMNS} FROM closes WHERE business_date = $1 AND ($2 = 0 OR revision = $2) ORDER BY revision DESC LIMIT 1
"""  # noqa: S608 - constants only

_LIST = f"""
SELECT {_COLUMNS} FROM closes WHERE (business_date, revision) < ($1, $2)
ORDER BY business_date DESC, revision DESC LIMIT $3
"""  # noqa: S608 - constants only

_TELL = """
INSERT INTO close_tellings (close_id, matched_count, exception_count) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""

_TRADES = """
SELECT DISTINCT trade_id FROM close_exceptions WHERE close_id = $1 AND trade_id > $2 ORDER BY trade_id LIMIT $3
"""


class CloseChanges(NamedTuple):
    """What a revision says that the one before did not, and the other way round."""

    added: int
    removed: int
    sentences: list[str]
    """The first of them."""


class CloseRow(NamedTuple):
    """A close as stored."""

    close_id: str
    mode: str
    business_date: date
    revision: int
    provisional: bool
    cut_at: datetime
    inbox_sequence: int
    content_hash: bytes
    contents: Contents
    matched_count: int
    exception_count: int
    changes: CloseChanges | None
    request_id: str
    requested_by: str
    traceparent: str
    created_at: datetime


async def keep_close(unit: Unit, close: CloseRow) -> CloseRow:
    """Stores the close; answers it as stored. Raises Contended where somebody else has stored the revision."""
    row = await unit.fetch_row(
        _KEEP,
        *close[:8],
        json.dumps(close.contents._asdict(), sort_keys=True),
        close.matched_count,
        close.exception_count,
        json.dumps(close.changes._asdict()) if close.changes else None,
        *close[12:15],
    )
    if row is None:
        raise Contended("Another close of the date was stored meanwhile.")
    return close._replace(created_at=row["created_at"])


async def find_close(source: Database | Unit, business_date: date, revision: int = 0) -> CloseRow | None:
    """A close of the date; revision 0 is the newest."""
    row = await source.fetch_row(_FIND, business_date, revision)
    return _close(row) if row else None


async def list_closes(database: Database, *, before: tuple[date, int], limit: int) -> list[CloseRow]:
    """Closes before a date and revision, newest first."""
    return [_close(row) for row in await database.fetch(_LIST, *before, limit)]


async def exceptional_trades(database: Database, close_id: str) -> AsyncIterator[Sequence[tuple[str]]]:
    """The trades that the close's exceptions name, each once, by trade id."""
    after = ""
    while rows := await database.fetch(_TRADES, close_id, after, PAGE_ROWS):
        yield [(row["trade_id"],) for row in rows]
        after = rows[-1]["trade_id"]


async def is_told(database: Database, close_id: str) -> bool:
    """Whether all trades of the date have been told what the close says."""
    told: bool = await database.fetch_value("SELECT EXISTS (SELECT FROM close_tellings WHERE close_id = $1)", close_id)
    return told


async def keep_telling(database: Database, close_id: str, *, matched: int, exceptional: int) -> None:
    """Notes that all trades of the date have been told what the close says. Safe to repeat."""
    await database.execute(_TELL, close_id, matched, exceptional)


def _close(row: Record) -> CloseRow:
    values = list(row)
    values[8] = Contents(**values[8])
    values[11] = CloseChanges(**values[11]) if values[11] else None
    return CloseRow(*values)
