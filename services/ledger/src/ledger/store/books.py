"""Owns reading the books: balances, a partner's entries, and the trial balance."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from poolkit.database import Database

_BALANCES = "SELECT name, balance, held FROM accounts WHERE name = ANY ($1::text[])"

# One statement, so the balance is the one after the entries shown.
_ENTRIES = """
SELECT accounts.balance, accounts.held, entry.*
FROM accounts LEFT JOIN LATERAL (
    SELECT entries.leg, entries.amount, entries.balance_after, entries.sequence, transactions.id AS transaction_id,
           transactions.reason, transactions.trade_id, transactions.client_reference, transactions.created_at
    FROM entries JOIN transactions ON transactions.number = entries.transaction_number
    WHERE entries.account_id = accounts.id AND entries.balance_after IS NOT NULL AND entries.sequence < $2
    ORDER BY entries.sequence DESC LIMIT $3
) AS entry ON true
WHERE accounts.name = $1
ORDER BY entry.sequence DESC
"""

_TRIAL_BALANCE = """
SELECT kind, currency, sum(balance) AS amount, sum(entry_count)::bigint AS entries,
       sum(open_holds)::bigint AS open_holds
FROM accounts GROUP BY kind, currency
"""


class Balance(NamedTuple):
    """What a partner has in one currency."""

    posted: Decimal
    held: Decimal

    @property
    def available(self) -> Decimal:
        """Posted less held."""
        return self.posted - self.held


class EntryRow(NamedTuple):
    """One line of a partner's account."""

    leg: int
    amount: Decimal
    balance_after: Decimal
    sequence: int
    transaction_id: str
    reason: str
    trade_id: str
    client_reference: str
    created_at: datetime


class TrialBalanceRow(NamedTuple):
    """The accounts of one kind in one currency, summed."""

    kind: str
    currency: str
    amount: Decimal
    entries: int
    open_holds: int


NOTHING = Balance(Decimal(0), Decimal(0))


async def read_balances(database: Database, names: Sequence[str]) -> dict[str, Balance]:
    """The balances of accounts by name; an account nothing was ever posted to or held on may be missing."""
    rows: list[Any] = await database.fetch(_BALANCES, names)
    return {row["name"]: Balance(row["balance"], row["held"]) for row in rows}


async def read_entries(
    database: Database, name: str, *, before_sequence: int, limit: int
) -> tuple[Balance, list[EntryRow]]:
    """The balance now, and the newest entries below a sequence of the organization's chain."""
    rows: list[Any] = await database.fetch(_ENTRIES, name, before_sequence, limit)
    if not rows:
        return NOTHING, []
    entries = [EntryRow(*tuple(row)[2:]) for row in rows if row["sequence"] is not None]
    return Balance(rows[0]["balance"], rows[0]["held"]), entries


async def read_trial_balance(database: Database) -> list[TrialBalanceRow]:
    """Every kind and currency, as of one moment."""
    rows: list[Any] = await database.fetch(_TRIAL_BALANCE)
    return [TrialBalanceRow(*row) for row in rows]
