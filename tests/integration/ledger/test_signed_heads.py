"""What a close signs: every head that moved, in statements that follow one another; checked from the documentation."""

import asyncio
from datetime import date
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.app.sign_heads import sign_heads
from ledger.domain.heads import Close
from ledger.store.heads import find_statement, read_statements
from tests.integration.ledger.books import Books
from tests.integration.ledger.events import payin
from tests.integration.ledger.signing import new_key, sign


async def test_statement_and_signature_can_be_checked_from_the_documentation_alone(books: Books) -> None:
    key = new_key()
    # Upper case sorts before lower case byte by byte, and after it by most other orders.
    await books.apply(payin("org_b"), payin("org_B"), payin("org_B"))
    signed = await sign(books, key)

    links = {row["organization_id"]: row["link"] for row in await books.admin.fetch("SELECT * FROM chain_heads")}
    heads = f"0pools-ledger-heads-1\norg_B 2 {links['org_B'].hex()}\norg_b 1 {links['org_b'].hex()}"
    row = await books.admin.fetch_row("SELECT * FROM head_statements")
    assert row is not None
    text = "\n".join(
        [
            "0pools-ledger-statement-1",
            "1",
            "test",
            row["close_id"],
            "2026-11-22",
            "1",
            "2",
            sha256(heads.encode()).hexdigest(),
            "0" * 64,
            sha256(key.public_key).hexdigest()[:16],
            row["signed_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        ]
    )
    [public_key] = [row["public_key"] for row in await books.admin.fetch("SELECT public_key FROM signing_keys")]
    Ed25519PublicKey.from_public_bytes(public_key).verify(row["signature"], text.encode())
    assert await find_statement(books.database, row["close_id"]) == signed
    assert await find_statement(books.database, "close_other") is None


async def test_each_close_signs_the_heads_that_moved_and_names_the_close_before(books: Books) -> None:
    old, new = new_key(), new_key()
    await books.apply(payin("org_1"), payin("org_2"))
    first = await sign(books, old)
    await books.apply(payin("org_2"))
    second = await sign(books, new, day=23)
    third = await sign(books, new, day=23, revision=2)

    statements = await read_statements(books.database, after_number=0, limit=10)
    assert statements == [first, second, third]
    assert [each.statement.head_count for each in statements] == [2, 1, 0]
    assert second.statement.previous == sha256(first.statement.text).digest()
    assert third.statement.previous == sha256(second.statement.text).digest()
    moved = await books.admin.fetch("SELECT organization_id, sequence FROM signed_heads WHERE statement_number = 2")
    assert [tuple(row) for row in moved] == [("org_2", 2)]
    kept = await books.admin.fetch("SELECT key_id FROM signing_keys ORDER BY first_used_at")
    assert [row["key_id"] for row in kept] == [old.key_id, new.key_id]


async def test_closes_that_sign_at_once_follow_one_another(books: Books) -> None:
    key = new_key()
    await books.apply(*[payin(f"org_{number}") for number in range(20)])
    await asyncio.gather(*[sign(books, key, revision=revision) for revision in range(1, 7)])
    statements = [each.statement for each in await read_statements(books.database, after_number=0, limit=10)]
    assert [statement.number for statement in statements] == list(range(1, 7))
    assert [statement.head_count for statement in statements] == [20, 0, 0, 0, 0, 0]
    assert [each.previous for each in statements[1:]] == [each.digest for each in statements[:-1]]


async def test_close_that_comes_to_nothing_signs_nothing(books: Books) -> None:
    await books.apply(payin("org_1"))

    async def broken_close() -> None:
        async with books.database.transaction() as unit:
            await sign_heads(unit, new_key(), Close("close_1", date(2026, 11, 22), 1), mode="test")
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await broken_close()
    for table in ("head_statements", "signed_heads", "signing_keys"):
        assert await books.count(table) == 0
