"""Owns the signed heads' rows: copying the heads that moved, keeping statements and public keys, reading them back."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from ledger.domain.heads import Close, Head, SignedStatement, Statement
from poolkit.database import Database, Record, Unit

PAGE_HEADS: Final = 5_000

# Statements follow one another, so who makes one waits for whoever is making one. Any number nothing else here uses.
_TAKE_TURN = "SELECT pg_advisory_xact_lock(7020110), clock_timestamp() AS now"

_COLUMNS = """number, mode, close_id, business_date, revision, head_count, heads_digest, previous, key_id, signed_at,
       signature"""
_LATEST = f"SELECT {_COLUMNS} FROM head_statements ORDER BY number DESC LIMIT 1"  # noqa: S608 - constants only
_OF_CLOSE = f"SELECT {_COLUMNS} FROM head_statements WHERE close_id = $1"  # noqa: S608 - constants only
_AFTER = f"SELECT {_COLUMNS} FROM head_statements WHERE number > $1 ORDER BY number LIMIT $2"  # noqa: S608 - as above

# One statement, so the heads are those of one moment. A head that was signed before says nothing new.
_COPY = """
INSERT INTO signed_heads (statement_number, organization_id, sequence, link)
SELECT $1, organization_id, sequence, link FROM chain_heads
WHERE sequence > 0 AND NOT EXISTS (
    SELECT FROM signed_heads AS earlier
    WHERE earlier.organization_id = chain_heads.organization_id AND earlier.sequence = chain_heads.sequence
)
"""

_HEADS = """
SELECT organization_id, sequence, link FROM signed_heads
WHERE statement_number = $1 AND organization_id > $2 ORDER BY organization_id LIMIT $3
"""

_KEEP_KEY = "INSERT INTO signing_keys (key_id, public_key) VALUES ($1, $2) ON CONFLICT DO NOTHING"

_KEEP = f"""
INSERT INTO head_statements ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""  # noqa: S608 - constants only


async def take_turn(unit: Unit) -> tuple[datetime, SignedStatement | None]:
    """Waits until nobody else signs; answers the time and the newest statement. Held until the transaction ends."""
    turn: Any = await unit.fetch_row(_TAKE_TURN)
    row = await unit.fetch_row(_LATEST)
    return turn["now"], signed_statement(row) if row else None


async def latest_statement(source: Database | Unit) -> SignedStatement | None:
    """What was signed last."""
    row = await source.fetch_row(_LATEST)
    return signed_statement(row) if row else None


async def copy_heads(unit: Unit, number: int) -> None:
    """Keeps the heads of all chains that moved since they were last signed, under a statement's number."""
    await unit.execute(_COPY, number)


async def pages_of_heads(source: Database | Unit, number: int) -> AsyncIterator[list[Head]]:
    """A statement's heads in the order in which they are hashed."""
    after = ""
    while rows := await source.fetch(_HEADS, number, after, PAGE_HEADS):
        yield [Head(*row) for row in rows]
        after = rows[-1]["organization_id"]


async def keep_statement(unit: Unit, signed: SignedStatement, public_key: bytes) -> None:
    """Keeps a signed statement, and the public key for those who check it later."""
    statement = signed.statement
    await unit.execute(_KEEP_KEY, statement.key_id, public_key)
    await unit.execute(
        _KEEP,
        statement.number,
        statement.mode,
        *statement.close,
        statement.head_count,
        statement.heads_digest,
        statement.previous,
        statement.key_id,
        statement.signed_at,
        signed.signature,
    )


async def find_statement(source: Database | Unit, close_id: str) -> SignedStatement | None:
    """What was signed at a close."""
    row = await source.fetch_row(_OF_CLOSE, close_id)
    return signed_statement(row) if row else None


async def read_statements(source: Database | Unit, *, after_number: int, limit: int) -> list[SignedStatement]:
    """The statements in their order."""
    return [signed_statement(row) for row in await source.fetch(_AFTER, after_number, limit)]


def signed_statement(row: Record) -> SignedStatement:
    """A row of head_statements."""
    number, mode, close_id, day, revision, *rest, signature = row
    return SignedStatement(Statement(number, mode, Close(close_id, day, revision), *rest), signature)
