"""The database itself refuses to change what was posted, whoever asks, and refuses what does not sum to zero."""

from collections.abc import AsyncIterator
from decimal import Decimal

import asyncpg
import pytest

from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, new_trade, open_books
from tests.integration.ledger.events import payin, trade_event
from tests.integration.ledger.signing import new_key, sign

REFUSED = asyncpg.InsufficientPrivilegeError
KEPT = ["transactions", "entries", "inbox"]
SIGNED = ["signing_keys", "head_statements", "signed_heads"]
CLOSED = ["closes", "close_exceptions", "close_candidates", "close_tellings"]


@pytest.fixture(scope="module")
async def posted(postgres: RunningPostgres) -> AsyncIterator[Books]:
    """Books with a pay-in and a trade; the tests of this module share them, since nothing can change them."""
    async with open_books(postgres) as books:
        await books.apply(payin("org_1"), trade_event("org_1", new_trade()))
        await sign(books, new_key())
        yield books


@pytest.fixture
async def migrator(postgres: RunningPostgres, posted: Books) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The owner of the tables."""
    name = await posted.database.fetch_value("SELECT current_database()")
    connection = await asyncpg.connect(postgres.migrator_url(f"postgresql://ledger_runtime@host/{name}"))
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", KEPT)
async def test_runtime_role_has_no_right_to_change_what_was_posted(posted: Books, table: str) -> None:
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(REFUSED):
            await posted.database.execute(statement)
    column = {"transactions": "reason = 'x'", "entries": "amount = amount + 1", "inbox": "payload = ''"}[table]
    with pytest.raises(REFUSED, match="permission denied"):
        await posted.database.execute(f"UPDATE {table} SET {column}")


@pytest.mark.parametrize("table", SIGNED)
async def test_what_was_signed_cannot_be_changed(
    posted: Books, migrator: "asyncpg.Connection[asyncpg.Record]", table: str
) -> None:
    for statement in (
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"UPDATE {table} SET {'key_id = key_id' if table != 'signed_heads' else 'sequence = sequence'}",
    ):
        with pytest.raises(REFUSED, match="permission denied"):
            await posted.database.execute(statement)
        with pytest.raises(REFUSED, match="append-only"):
            await migrator.execute(statement)


@pytest.mark.parametrize("table", CLOSED)
async def test_what_a_close_said_cannot_be_changed(
    posted: Books, migrator: "asyncpg.Connection[asyncpg.Record]", table: str
) -> None:
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"UPDATE {table} SET close_id = close_id"):
        with pytest.raises(REFUSED, match="permission denied"):
            await posted.database.execute(statement)
        with pytest.raises(REFUSED, match="append-only"):
            await migrator.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET amount = amount + 1",
        "UPDATE entries SET amount = amount WHERE false",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "UPDATE transactions SET link = ''",
        "DELETE FROM transactions",
        "TRUNCATE transactions CASCADE",
        "UPDATE inbox SET payload = ''",
        "UPDATE inbox SET business_date = '2026-11-23'",
        "UPDATE inbox SET state = 'parked', sequence = NULL, applied_at = NULL",
        "DELETE FROM inbox",
        "TRUNCATE inbox",
        "WITH gone AS (DELETE FROM entries RETURNING *) SELECT count(*) FROM gone",
        "MERGE INTO entries USING accounts ON account_id = id WHEN MATCHED THEN UPDATE SET amount = 0",
        "INSERT INTO entries SELECT * FROM entries ON CONFLICT (transaction_number, leg) DO UPDATE SET amount = 0",
    ],
)
async def test_not_even_the_owner_can_change_what_was_posted(
    migrator: "asyncpg.Connection[asyncpg.Record]", statement: str
) -> None:
    with pytest.raises(REFUSED, match="append-only"):
        await migrator.execute(statement)


async def test_triggers_also_hold_where_a_session_replays_as_a_replica(posted: Books) -> None:
    async with posted.admin.transaction() as unit:
        await unit.execute("SET LOCAL session_replication_role = replica")
        with pytest.raises(REFUSED, match="append-only"):
            await unit.execute("DELETE FROM entries")


TRANSACTION = """
WITH posted AS (
    INSERT INTO transactions (number, id, organization_id, sequence, reason, content_hash, link, business_date,
                              event_id, request_id, trade_id, quote_id, client_reference, traceparent)
    VALUES (1001, 'ledger_x', 'org_x', 1, 'payin_credit', '', '', '2026-11-22', 'e', 'r', '', '', '', '')
)
INSERT INTO entries (transaction_number, leg, account_id, amount) VALUES {entries}
"""


async def test_unbalanced_transaction_is_refused(posted: Books, migrator: "asyncpg.Connection[asyncpg.Record]") -> None:
    ids = {row["name"]: row["id"] for row in await posted.admin.fetch("SELECT name, id FROM accounts")}
    euro = [id_ for name, id_ in ids.items() if ":EUR:" in name]
    usdt = [id_ for name, id_ in ids.items() if ":USDT:" in name]
    refused = [
        f"(1001, 1, {euro[0]}, 100)",
        f"(1001, 1, {euro[0]}, 100), (1001, 2, {euro[1]}, -99.99)",
        # Zero in sum, but not in each currency.
        f"(1001, 1, {euro[0]}, 100), (1001, 2, {usdt[0]}, -100)",
        # Zero in sum, but not in each transaction.
        f"(1001, 1, {euro[0]}, 100), (1002, 2, {euro[1]}, -100)",
        "(1001, 1, 999999, 100), (1001, 2, 999999, -100)",
        # Balanced, but of no transaction.
        f"(1002, 1, {euro[0]}, 100), (1002, 2, {euro[1]}, -100)",
    ]
    for entries in refused:
        with pytest.raises(asyncpg.CheckViolationError):
            await posted.database.execute(TRANSACTION.format(entries=entries))
    # Nor by the bulk way in, nor by who may do everything and says that it is a replica.
    with pytest.raises(asyncpg.CheckViolationError):
        await migrator.copy_records_to_table(
            "entries",
            records=[(1001, 1, euro[0], Decimal(100))],
            columns=["transaction_number", "leg", "account_id", "amount"],
        )
    async with posted.admin.transaction() as unit:
        await unit.execute("SET LOCAL session_replication_role = replica")
        with pytest.raises(asyncpg.CheckViolationError):
            await unit.execute(TRANSACTION.format(entries=f"(1001, 1, {euro[0]}, 100)"))
    await posted.database.execute(TRANSACTION.format(entries=f"(1001, 1, {euro[0]}, 100), (1001, 2, {euro[1]}, -100)"))
