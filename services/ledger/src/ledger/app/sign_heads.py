"""Owns signing the chain heads at a close, in the close's own transaction."""

from typing import Protocol

from ledger.domain.heads import NOTHING_BEFORE, Close, HeadsDigest, SignedStatement, Statement
from ledger.store import heads as store
from poolkit.database import Unit


class Signer(Protocol):
    """A key that signs; its private half is nowhere in the database."""

    @property
    def key_id(self) -> str:
        """Its short name."""

    @property
    def public_key(self) -> bytes:
        """Its public half, 32 bytes."""

    def sign(self, text: bytes) -> bytes:
        """The signature of the text, 64 bytes."""


async def sign_heads(unit: Unit, signer: Signer, close: Close, *, mode: str) -> SignedStatement:
    """Signs the heads as they are now; the rows commit with the unit, which the caller commits.

    Whatever the number of organizations, memory is flat. A close is signed once: a second time for the same close id
    violates a unique constraint. Others who sign wait until the unit ends, so it should end soon after.
    """
    now, latest = await store.take_turn(unit)
    number = latest.statement.number + 1 if latest else 1
    await store.copy_heads(unit, number)
    heads = HeadsDigest()
    async for page in store.pages_of_heads(unit, number):
        heads.add(page)
    previous = latest.statement.digest if latest else NOTHING_BEFORE
    statement = Statement(number, mode, close, heads.count, heads.digest, previous, signer.key_id, now)
    signed = SignedStatement(statement, signer.sign(statement.text))
    await store.keep_statement(unit, signed, signer.public_key)
    return signed
