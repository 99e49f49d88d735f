"""Owns reading the whole of the books in key order, a page at a time, as they stood when a cut was made."""

from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from poolkit.database import Database, Record

PAGE_ROWS: Final = 1000

# Both from one snapshot: who draws a lower sequence had an id before the one who drew this, for locks come first.
_CUT: Final = """
SELECT coalesce(max(sequence), 0) AS sequence, pg_snapshot_xmax(pg_current_snapshot())::text AS begun_before FROM inbox
"""
_ENDED: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8"
_COUNT: Final = "SELECT count(*) FROM inbox WHERE sequence <= $1"
_EMPTY: Final = "SELECT NOT EXISTS (SELECT FROM inbox) AND NOT EXISTS (SELECT FROM transactions)"

# A transaction that no stored event accounts for belongs to no time, so it is shown whatever its number.
_TRANSACTIONS: Final = f"""
SELECT t.id, t.number, t.number <= $2 OR i.sequence IS NULL OR t.number - i.sequence NOT IN (0, 1) AS shown,
       t.organization_id, t.sequence, t.reason, t.event_id, t.number - i.sequence AS part, t.business_date,
       t.request_id, t.trade_id, t.quote_id, t.client_reference, t.traceparent, t.content_hash, t.link, legs.legs
FROM (SELECT * FROM transactions WHERE id > $1 ORDER BY id LIMIT {PAGE_ROWS}) AS t
LEFT JOIN inbox i ON i.event_id = t.event_id
LEFT JOIN LATERAL (
    SELECT array_agg(concat_ws(' ', e.leg, coalesce(a.name, 'unknown'), e.amount,
                               coalesce('balance ' || e.balance_after, ''), coalesce('sequence ' || e.sequence, ''))
                     ORDER BY e.leg) AS legs
    FROM entries e LEFT JOIN accounts a ON a.id = e.account_id WHERE e.transaction_number = t.number
) AS legs ON true
ORDER BY t.id
"""  # noqa: S608 - constants only

_BALANCES: Final = """
SELECT a.name, a.balance - coalesce(later.amount, 0) AS balance, a.entry_count - coalesce(later.entries, 0) AS entries
FROM accounts a LEFT JOIN (
    SELECT account_id, sum(amount) AS amount, count(*) AS entries FROM entries
    WHERE transaction_number > {number} GROUP BY account_id
) AS later ON later.account_id = a.id
ORDER BY a.name
"""

_HEADS: Final = """
SELECT h.organization_id, coalesce(later.first - 1, h.sequence) AS sequence,
       CASE WHEN later.first IS NULL THEN h.link ELSE before.link END AS link
FROM chain_heads h LEFT JOIN (
    SELECT t.organization_id, min(t.sequence) AS first
    FROM transactions t JOIN inbox i ON i.event_id = t.event_id AND t.number - i.sequence IN (0, 1)
    WHERE t.number > {number} GROUP BY t.organization_id
) AS later USING (organization_id)
LEFT JOIN transactions before ON before.organization_id = h.organization_id AND before.sequence = later.first - 1
ORDER BY h.organization_id
"""

_ENTRIES: Final = "SELECT count(*) FROM entries WHERE transaction_number <= $1"
_ORPHANS: Final = """
SELECT e.transaction_number, e.leg, a.name, e.amount FROM entries e LEFT JOIN accounts a ON a.id = e.account_id
WHERE NOT EXISTS (SELECT FROM transactions t WHERE t.number = e.transaction_number)
ORDER BY e.transaction_number, e.leg LIMIT $1
"""

_KEPT: Final = f"""
SELECT event_id, topic, state, sha256(payload) AS payload_hash FROM inbox
WHERE event_id > $1 AND topic = ANY ($2::text[]) ORDER BY event_id LIMIT {PAGE_ROWS}
"""  # noqa: S608 - constants only
_KEPT_NAMED: Final = """
SELECT event_id, topic, state, sha256(payload) AS payload_hash FROM inbox
WHERE event_id = ANY ($1::text[]) AND topic = ANY ($2::text[]) ORDER BY event_id
"""


class Cut(NamedTuple):
    """A place in the stored order, and who was under way when it was chosen."""

    sequence: int
    begun_before: str

    @property
    def number_max(self) -> int:
        """The highest transaction number: an event makes at most two."""
        return self.sequence + 1


async def read_cut(database: Database) -> Cut:
    """The end of the stored order now. What comes before it may still be under way: see `has_settled`."""
    row: Any = await database.fetch_row(_CUT)
    return Cut(row["sequence"], row["begun_before"])


async def has_settled(database: Database, cut: Cut) -> bool:
    """Whether everything before the cut is committed, or never will be."""
    return bool(await database.fetch_value(_ENDED, cut.begun_before))


async def count_events(database: Database, cut: Cut) -> int:
    """How many events were applied before the cut."""
    return int(await database.fetch_value(_COUNT, cut.sequence))


async def is_empty(database: Database) -> bool:
    """Whether no event was ever stored or posted here."""
    return bool(await database.fetch_value(_EMPTY))


async def transactions(database: Database, cut: Cut) -> AsyncIterator[list[Record]]:
    """Transactions with their legs, by id."""
    after = ""
    while rows := await database.fetch(_TRANSACTIONS, after, cut.number_max):
        after = rows[-1]["id"]
        yield [row for row in rows if row["shown"]]


def balances(database: Database, cut: Cut) -> AsyncIterator[list[Record]]:
    """Accounts by name, with the balance and number of entries they had."""
    return _read_at_once(database, "balances", _BALANCES.format(number=cut.number_max))


def heads(database: Database, cut: Cut) -> AsyncIterator[list[Record]]:
    """Chain heads as they were, by organization."""
    return _read_at_once(database, "heads", _HEADS.format(number=cut.number_max))


async def count_entries(database: Database, cut: Cut) -> int:
    """All entries, those without a transaction included."""
    return int(await database.fetch_value(_ENTRIES, cut.number_max))


async def orphans(database: Database, limit: int) -> list[Record]:
    """Entries that belong to no transaction."""
    return await database.fetch(_ORPHANS, limit)


async def kept_events(database: Database, topics: list[str]) -> AsyncIterator[list[Record]]:
    """The stored events of these topics by id, whatever their state, with the hash of their bytes."""
    after = ""
    while rows := await database.fetch(_KEPT, after, topics):
        after = rows[-1]["event_id"]
        yield rows


async def find_kept(database: Database, topics: list[str], event_ids: list[str]) -> list[Record]:
    """The same of those named."""
    return await database.fetch(_KEPT_NAMED, event_ids, topics)


async def _read_at_once(database: Database, name: str, query: str) -> AsyncIterator[list[Record]]:
    """One statement's rows as of one moment, a page at a time: what was moved since the cut is summed but once.

    The driver remembers what a statement answers by its text: a cursor of other columns needs another name.
    """
    async with database.transaction() as unit:
        await unit.plan_for_report()
        await unit.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {query}")
        while rows := await unit.fetch(f"FETCH {PAGE_ROWS} FROM {name}"):
            yield rows
