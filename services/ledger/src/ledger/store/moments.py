"""Owns finding what an account had after an entry or at an instant, along the indexes there are."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from poolkit.database import Database, Unit

PAGE_TRANSACTIONS: Final = 5_000

_LAST = """
SELECT entries.leg, transactions.id, entries.balance_after, entries.sequence, transactions.created_at
FROM accounts
JOIN entries ON entries.account_id = accounts.id AND entries.balance_after IS NOT NULL
JOIN transactions ON transactions.number = entries.transaction_number
WHERE accounts.name = $1 AND entries.sequence <= $2
ORDER BY entries.sequence DESC LIMIT 1
"""

# Within a chain what comes later was booked later (the head is locked), so the last place up to an instant is found by
# halving: a look-up of the chain's index each time, twenty for a million transactions.
_PLACE = """
WITH RECURSIVE halved (low, high) AS (
    SELECT 0::bigint, sequence FROM chain_heads WHERE organization_id = $1
    UNION ALL
    SELECT CASE WHEN middle.booked <= $2 THEN middle.place ELSE halved.low END,
           CASE WHEN middle.booked <= $2 THEN halved.high ELSE middle.place - 1 END
    FROM halved CROSS JOIN LATERAL (
        SELECT transactions.sequence AS place, transactions.created_at AS booked FROM transactions
        WHERE transactions.organization_id = $1 AND transactions.sequence = (halved.low + halved.high + 1) / 2
    ) AS middle
    WHERE halved.low < halved.high
)
SELECT low FROM halved WHERE low = high
"""

_ENTRY = """
SELECT accounts.name, accounts.kind, accounts.currency, accounts.pool_id, entries.transaction_number AS number,
       entries.sequence
FROM transactions
JOIN entries ON entries.transaction_number = transactions.number AND entries.leg = $2
JOIN accounts ON accounts.id = entries.account_id
WHERE transactions.id = $1
"""

_OWN_ACCOUNTS = """
SELECT array_agg(id) AS ids, sum(balance) AS balance FROM accounts
WHERE kind = $1 AND currency = $2 AND ($3 = '' OR pool_id = $3)
"""

# Back from the newest. Numbers are drawn a moment before a transaction is booked, so around an instant they are mixed.
_MOVED_SINCE = """
WITH page AS MATERIALIZED (
    SELECT number, created_at FROM transactions WHERE number < $1 ORDER BY number DESC LIMIT $2
)
SELECT (SELECT min(number) FROM page) AS first, (SELECT max(created_at) FROM page) AS newest,
       coalesce((SELECT sum(entries.amount) FROM page JOIN entries ON entries.transaction_number = page.number
                 WHERE entries.account_id = ANY ($3::bigint[]) AND page.number > $4
                   AND page.created_at > coalesce($5::timestamptz, '-infinity')), 0) AS amount
"""


_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class LastEntry(NamedTuple):
    """The last entry of a partner's account up to a moment."""

    leg: int
    transaction_id: str
    balance: Decimal
    sequence: int
    created_at: datetime


class PlacedEntry(NamedTuple):
    """Where an entry lies."""

    account_name: str
    kind: str
    currency: str
    pool_id: str
    number: int
    sequence: int | None


async def last_entry(database: Database, account_name: str, *, up_to_sequence: int) -> LastEntry | None:
    """A partner account's last entry up to a place in its chain."""
    row = await database.fetch_row(_LAST, account_name, up_to_sequence)
    return LastEntry(*row) if row else None


async def place_at(database: Database, organization_id: str, instant: datetime) -> int:
    """How long an organization's chain was at an instant, by when its transactions were booked."""
    place: int | None = await database.fetch_value(_PLACE, organization_id, instant)
    return place or 0


async def find_entry(database: Database, transaction_id: str, leg: int) -> PlacedEntry | None:
    """The entry that is this leg of a transaction."""
    row = await database.fetch_row(_ENTRY, transaction_id, leg)
    return PlacedEntry(*row) if row else None


async def take_snapshot(unit: Unit) -> None:
    """Has all that follows in the unit see one moment."""
    await unit.execute(_SNAPSHOT)


async def own_accounts(unit: Unit, kind: str, currency: str, pool_id: str) -> tuple[list[int], Decimal]:
    """All parts of one of our own accounts and what they have now; no part where nothing was ever posted to it."""
    row: Any = await unit.fetch_row(_OWN_ACCOUNTS, kind, currency, pool_id)
    return row["ids"] or [], row["balance"] or Decimal(0)


async def moved_since(
    unit: Unit, account_ids: Sequence[int], *, before_number: int, number: int, instant: datetime | None
) -> tuple[int | None, datetime | None, Decimal]:
    """What a page of transactions below a number moved on the accounts, of those behind a number and an instant.

    Answers the page's first number and its newest time as well; none of either at the end.
    """
    row: Any = await unit.fetch_row(_MOVED_SINCE, before_number, PAGE_TRANSACTIONS, account_ids, number, instant)
    return row["first"], row["newest"], row["amount"]
