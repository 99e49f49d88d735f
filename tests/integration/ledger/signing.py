"""Keys and closes for tests that sign chain heads."""

from datetime import date

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.app.sign_heads import sign_heads
from ledger.domain.heads import Close, SignedStatement
from ledger.outbound.signing_key import SigningKey
from poolkit.ids import new_id
from tests.integration.ledger.books import Books


def new_key() -> SigningKey:
    """A key nobody else has."""
    return SigningKey(Ed25519PrivateKey.generate())


async def sign(books: Books, key: SigningKey, *, day: int = 22, revision: int = 1) -> SignedStatement:
    """What a close of a day in November 2026 does with the heads, committed."""
    async with books.database.transaction() as unit:
        close = Close(new_id("close"), date(2026, 11, day), revision)
        signed = await sign_heads(unit, key, close, mode="test")
        await unit.commit()
    return signed
