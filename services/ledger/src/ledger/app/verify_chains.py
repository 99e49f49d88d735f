"""Owns checking where chains end: at their heads, and through every head that was ever signed at a close."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Protocol

from ledger.domain.findings import Finding
from ledger.domain.heads import NOTHING_BEFORE, Head, HeadsDigest, SignedStatement
from ledger.store import audit
from ledger.store import heads as store
from poolkit.database import Unit

_STATEMENTS: Final = "head_statements"
_STATEMENTS_AT_ONCE: Final = 100


class Trust(Protocol):
    """The public keys whose signatures count. They come from outside the database: who owns it can't add one."""

    @property
    def key_ids(self) -> list[str]:
        """Which keys these are."""

    def is_known(self, key_id: str) -> bool:
        """Whether the key is one of them."""

    def is_signed(self, key_id: str, text: bytes, signature: bytes) -> bool:
        """Whether the key made the signature of the text."""


class Checked:
    """What was counted while checking; complete when the iteration has ended."""

    def __init__(self) -> None:
        self.rows = 0
        self.last_signed_at: datetime | None = None


async def verify_heads(unit: Unit, checked: Checked) -> AsyncIterator[Finding]:
    """Every chain ends in its head, and every organization with a transaction has one. Counts chains."""
    after = ""
    while rows := await audit.read_chains(unit, after_organization_id=after):
        after = rows[-1]["organization_id"]
        checked.rows += len(rows)
        for row in rows:
            if (row["sequence"], row["link"]) != (row["last_sequence"], row["last_link"]):
                yield Finding(
                    "chain_heads",
                    row["organization_id"],
                    "head",
                    f"{row['last_sequence']} {row['last_link'].hex()}",
                    f"{row['sequence']} {row['link'].hex()}",
                )
    after = ""
    while rows := await audit.read_organizations(unit, after_organization_id=after):
        after = rows[-1]["organization_id"]
        for row in rows:
            if row["missing"]:
                yield Finding("chain_heads", row["organization_id"], "head_missing", "a head", "")


async def verify_statements(unit: Unit, trust: Trust, checked: Checked, *, mode: str) -> AsyncIterator[Finding]:
    """Every statement is signed by a trusted key and follows the one before; every signed head is still in its chain.

    This is what a chain computed anew by a superuser fails. Counts statements.
    """
    number, previous = 0, NOTHING_BEFORE
    while page := await store.read_statements(unit, after_number=number, limit=_STATEMENTS_AT_ONCE):
        for signed in page:
            statement = signed.statement
            for finding in _statement_findings(signed, trust, number + 1, previous, mode):
                yield finding
            async for finding in _verify_signed_heads(unit, signed):
                yield finding
            number, previous = statement.number, statement.digest
            checked.last_signed_at = statement.signed_at
            checked.rows += 1


def _statement_findings(
    signed: SignedStatement, trust: Trust, number: int, previous: bytes, mode: str
) -> list[Finding]:
    statement = signed.statement
    close_id, key_id = statement.close.close_id, statement.key_id
    findings = []
    if statement.number != number:
        findings.append(Finding(_STATEMENTS, close_id, "number", str(number), str(statement.number)))
    if statement.previous != previous:
        findings.append(Finding(_STATEMENTS, close_id, "previous", previous.hex(), statement.previous.hex()))
    if statement.mode != mode:
        findings.append(Finding(_STATEMENTS, close_id, "mode", mode, statement.mode))
    if not trust.is_known(key_id):
        trusted = ", ".join(trust.key_ids) or "a key: none is configured"
        findings.append(Finding(_STATEMENTS, close_id, "key_not_trusted", trusted, key_id))
    elif not trust.is_signed(key_id, statement.text, signed.signature):
        findings.append(
            Finding(_STATEMENTS, close_id, "signature", f"the signature of {key_id}", signed.signature.hex())
        )
    return findings


async def _verify_signed_heads(unit: Unit, signed: SignedStatement) -> AsyncIterator[Finding]:
    statement = signed.statement
    close_id, heads, after = statement.close.close_id, HeadsDigest(), ""
    while rows := await audit.read_signed_heads(unit, statement_number=statement.number, after_organization_id=after):
        after = rows[-1]["organization_id"]
        heads.add(Head(row["organization_id"], row["sequence"], row["link"]) for row in rows)
        for row in rows:
            if row["link"] != row["found"]:
                found = "" if row["found"] is None else row["found"].hex()
                where = f"{close_id} {row['organization_id']} {row['sequence']}"
                yield Finding("signed_heads", where, "signed_head", row["link"].hex(), found)
    if (heads.count, heads.digest) != (statement.head_count, statement.heads_digest):
        expected = f"{statement.head_count} {statement.heads_digest.hex()}"
        yield Finding(_STATEMENTS, close_id, "heads_digest", expected, f"{heads.count} {heads.digest.hex()}")
