"""What a superuser can do to the books: each way with the row that a verification has to name, and how it is undone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

from tests.integration.ledger.books import Books

GUARDED = ("entries", "transactions", "inbox", "head_statements", "signed_heads", "signing_keys")
TABLES = ("head_statements", "signed_heads", "signing_keys", "entries", "transactions", "inbox", "chain_heads", "holds",
          "accounts")  # fmt: skip

EMPTIED = [f"DELETE FROM {table}" for table in TABLES]


async def save(books: Books) -> None:
    """Keeps the books as they are now, for `tampered` to restore."""
    for table in TABLES:
        await books.admin.execute(f"CREATE TABLE saved_{table} AS TABLE {table}")


@asynccontextmanager
async def tampered(books: Books, *statements: str) -> AsyncIterator[None]:
    """What a superuser can do: lay the guards down and change what he likes. Afterwards all is as it was."""
    await unguarded(books, statements)
    yield
    restored = [f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE saved_{table}" for table in reversed(TABLES)]
    await unguarded(books, [*EMPTIED, *restored])


async def unguarded(books: Books, statements: Sequence[str]) -> None:
    """Does it with all guards laid down."""
    async with books.admin.transaction() as unit:
        for table in GUARDED:
            await unit.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            tag = await unit.execute(statement)
            # Whatever is meant to change something does.
            assert "saved_" in statement or statement in EMPTIED or not tag.endswith(" 0"), statement
        for table in GUARDED:
            await unit.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        await unit.commit()


async def chain_anew(books: Books, organization_id: str) -> list[str]:
    """The statements that make hashes, links and head of a chain fit its rows, whatever these say."""
    steps, link = [], sha256(f"0pools-ledger-chain-1\n{organization_id}".encode()).digest()
    for row in await books.admin.fetch(
        "SELECT * FROM transactions WHERE organization_id = $1 ORDER BY sequence", organization_id
    ):
        legs = await books.admin.fetch(
            "SELECT leg, kind, currency, name, amount::text FROM entries JOIN accounts ON id = account_id"
            " WHERE transaction_number = $1 ORDER BY leg",
            row["number"],
        )
        entry = f"le_{row['id'][7:]}"
        own = [f"{entry}{leg['leg']} {leg['currency']} {leg['amount']}" for leg in legs if leg["kind"] == "partner"]
        other = [f"{entry}{leg['leg']} {leg['name']} {leg['amount']}" for leg in legs if leg["kind"] != "partner"]
        facts = [row[name] for name in ("reason", "event_id", "trade_id", "quote_id", "request_id")]
        said = [row["id"], organization_id, str(row["business_date"]), *facts, str(len(own)), *own]
        partner = "\n".join(["0pools-ledger-partner-1", *said, row["client_reference"]])
        others = "\n".join(["0pools-ledger-others-1", row["id"], *other])
        digests = sha256(partner.encode()).digest() + sha256(others.encode()).digest()
        link = sha256(link + digests).digest()
        content = sha256(digests).hexdigest()
        steps.append(
            f"UPDATE transactions SET content_hash = '\\x{content}', link = '\\x{link.hex()}'"
            f" WHERE number = {row['number']}"
        )
    return [*steps, f"UPDATE chain_heads SET link = '\\x{link.hex()}' WHERE organization_id = '{organization_id}'"]


Case = Callable[[Books, list[str]], Awaitable[tuple[list[str], tuple[str, str, str]]]]
SETTLED = "(SELECT number FROM transactions WHERE trade_id = '{trade}' AND reason = 'buy_debit')"


async def _entry(books: Books, trade: str, leg: int) -> str:
    id_ = await books.admin.fetch_value(
        "SELECT id FROM transactions WHERE trade_id = $1 AND reason = 'buy_debit'", trade
    )
    return f"le_{id_[7:]}{leg}"


async def changed_amount(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    number = SETTLED.format(trade=trades[0])
    statement = f"UPDATE entries SET amount = -1.00 WHERE leg = 1 AND transaction_number = {number}"
    return [statement], ("entries", await _entry(books, trades[0], 1), "amount")


async def changed_pair(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    number = SETTLED.format(trade=trades[0])
    statements = [
        f"UPDATE entries SET amount = amount + 0.01 WHERE leg = 2 AND transaction_number = {number}",
        f"UPDATE entries SET amount = amount - 0.01 WHERE leg = 3 AND transaction_number = {number}",
    ]
    return statements, ("entries", await _entry(books, trades[0], 2), "amount")


async def deleted_entry(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    number = SETTLED.format(trade=trades[0])
    statement = f"DELETE FROM entries WHERE leg = 5 AND transaction_number = {number}"
    return [statement], ("entries", await _entry(books, trades[0], 5), "entry_missing")


async def swapped_entries(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    one = SETTLED.format(trade=trades[0])
    # The primary key is looked at row by row, so the two change places by way of a third.
    steps = [
        f"UPDATE entries SET leg = 9 WHERE leg = 2 AND transaction_number = {one}",
        f"UPDATE entries SET leg = 2 WHERE leg = 3 AND transaction_number = {one}",
        f"UPDATE entries SET leg = 3 WHERE leg = 9 AND transaction_number = {one}",
    ]
    return steps, ("entries", await _entry(books, trades[0], 2), "account")


async def swapped_transactions(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    rows = await books.admin.fetch(
        "SELECT id, number, sequence FROM transactions WHERE reason = 'buy_debit' ORDER BY number"
    )
    (first, one, low), (_, two, high) = rows
    steps = [
        f"UPDATE transactions SET sequence = 99 WHERE number = {one}",
        f"UPDATE transactions SET sequence = {low} WHERE number = {two}",
        f"UPDATE transactions SET sequence = {high} WHERE number = {one}",
    ]
    return steps, ("transactions", first, "link")


async def deleted_transaction(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    number = SETTLED.format(trade=trades[0])
    sequence = await books.admin.fetch_value(f"SELECT sequence FROM transactions WHERE number = {number}")
    steps = [
        f"DELETE FROM entries WHERE transaction_number = {number}",
        f"DELETE FROM transactions WHERE number = {number}",
    ]
    return steps, ("transactions", f"org_1 {sequence}", "transaction_missing")


async def changed_fact(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    id_ = await books.admin.fetch_value("SELECT id FROM transactions WHERE trade_id = $1", trades[0])
    statement = f"UPDATE transactions SET client_reference = 'another' WHERE trade_id = '{trades[0]}'"
    return [statement], ("transactions", id_, "client_reference")


async def added_entries(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    number = SETTLED.format(trade=trades[0])
    bank = "(SELECT id FROM accounts WHERE kind = 'bank' ORDER BY id LIMIT 1)"
    values = ", ".join(f"({number}, {leg}, {bank}, {amount})" for leg, amount in ((7, "5.00"), (8, "-5.00")))
    statement = f"INSERT INTO entries (transaction_number, leg, account_id, amount) VALUES {values}"
    return [statement], ("entries", await _entry(books, trades[0], 7), "entry_unexpected")


async def entries_of_nothing(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    bank = "(SELECT id FROM accounts WHERE kind = 'bank' ORDER BY id LIMIT 1)"
    statement = f"INSERT INTO entries (transaction_number, leg, account_id, amount) VALUES (99999, 1, {bank}, 5.00)"
    return [statement], ("entries", "99999.1", "transaction_missing")


async def changed_balance(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    return ["UPDATE accounts SET balance = balance + 1 WHERE name = 'partner:EUR:0:org_1'"], (
        "accounts",
        "partner:EUR:0:org_1",
        "balance",
    )


async def changed_own_balance(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    name = await books.admin.fetch_value("SELECT name FROM accounts WHERE kind = 'fees' ORDER BY id LIMIT 1")
    return [f"UPDATE accounts SET balance = balance + 1 WHERE name = '{name}'"], ("accounts", name, "balance")


async def changed_running_balance(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    number = SETTLED.format(trade=trades[0])
    statement = f"UPDATE entries SET balance_after = 0 WHERE leg = 1 AND transaction_number = {number}"
    return [statement], ("entries", await _entry(books, trades[0], 1), "balance_after")


async def changed_held(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    return ["UPDATE accounts SET held = held - 1 WHERE name = 'partner:EUR:0:org_1'"], (
        "accounts",
        "partner:EUR:0:org_1",
        "held",
    )


async def reopened_hold(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    statement = f"UPDATE holds SET state = 'open', ended_at = NULL WHERE trade_id = '{trades[3]}'"
    return [statement], ("holds", trades[3].replace("pt_", "hold_"), "open_on_ended_trade")


async def consumed_hold(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    statement = f"UPDATE holds SET state = 'consumed', ended_at = now() WHERE trade_id = '{trades[4]}'"
    return [statement], ("holds", trades[4].replace("pt_", "hold_"), "consumed_unsettled")


async def changed_hold(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    statement = f"UPDATE holds SET amount = amount - 1 WHERE trade_id = '{trades[0]}'"
    return [statement], ("holds", trades[0].replace("pt_", "hold_"), "amount")


async def changed_open_hold(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    return [f"UPDATE holds SET amount = amount - 1 WHERE trade_id = '{trades[4]}'"], (
        "accounts",
        "partner:EUR:0:org_1",
        "held",
    )


async def moved_head(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    return ["UPDATE chain_heads SET sequence = sequence + 1 WHERE organization_id = 'org_2'"], (
        "chain_heads",
        "org_2",
        "head",
    )


async def deleted_head(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    return ["DELETE FROM chain_heads WHERE organization_id = 'org_2'"], ("chain_heads", "org_2", "head_missing")


async def deleted_event(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    event = await books.admin.fetch_value("SELECT event_id FROM transactions WHERE trade_id = $1", trades[2])
    return [f"DELETE FROM inbox WHERE event_id = '{event}'"], ("inbox", event, "event")


async def changed_signed_head(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    close = await books.admin.fetch_value("SELECT close_id FROM head_statements")
    statement = "UPDATE signed_heads SET link = sha256(link) WHERE organization_id = 'org_2'"
    return [statement], ("signed_heads", f"{close} org_2 2", "signed_head")


async def changed_statement(books: Books, trades: list[str]) -> tuple[list[str], tuple[str, str, str]]:
    close = await books.admin.fetch_value("SELECT close_id FROM head_statements")
    statement = "UPDATE head_statements SET business_date = '2026-11-21'"
    return [statement], ("head_statements", close, "signature")


CASES: list[Case] = [
    changed_amount,
    changed_pair,
    deleted_entry,
    swapped_entries,
    swapped_transactions,
    deleted_transaction,
    changed_fact,
    added_entries,
    entries_of_nothing,
    changed_balance,
    changed_own_balance,
    changed_running_balance,
    changed_held,
    reopened_hold,
    consumed_hold,
    changed_hold,
    changed_open_hold,
    moved_head,
    deleted_head,
    deleted_event,
    changed_signed_head,
    changed_statement,
]
