"""Owns looking for rows that cannot be right: each statement checks one page of a table and answers what is wrong.

Hashes are computed by the database, so a page costs one round trip and only what is wrong travels.
`domain/chain.py` documents what is hashed. A caller reads all pages in one snapshot.
"""

from decimal import Decimal
from typing import Any, Final, NamedTuple

from poolkit.database import Record, Unit

PAGE_TRANSACTIONS: Final = 5_000
PAGE_ROWS: Final = 5_000

# Pages are joined to what was made of them by hashing, and found along their index even where the planner thinks them
# most of the table: a sort of all that is left, at every page, takes an hour for what takes a minute.
_SNAPSHOT = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_bitmapscan = off;
SET LOCAL plan_cache_mode = force_custom_plan;
"""

_ENTRY_TOTAL = "SELECT coalesce(sum(entry_count), 0)::bigint FROM accounts"

# The legs of the page are joined to their accounts once; both aggregates read that. LIMIT 1 keeps a look-up a look-up.
_TRANSACTIONS = r"""
WITH page AS MATERIALIZED (
    SELECT * FROM transactions WHERE number > $1 ORDER BY number LIMIT $2
), legs AS MATERIALIZED (
    SELECT page.number, entries.leg, accounts.currency, accounts.kind = 'partner' AS own, entries.amount,
           E'\nle_' || substr(page.id, 8) || entries.leg || ' '
               || CASE WHEN accounts.kind = 'partner' THEN accounts.currency ELSE accounts.name END
               || ' ' || entries.amount AS line
    FROM page JOIN entries ON entries.transaction_number = page.number
    LEFT JOIN accounts ON accounts.id = entries.account_id
    ORDER BY page.number, entries.leg
), unbalanced AS (
    SELECT number, string_agg(currency || ' ' || amount, ', ' ORDER BY currency) AS sums
    FROM (SELECT number, currency, sum(amount) AS amount FROM legs GROUP BY number, currency) AS summed
    WHERE amount <> 0 GROUP BY number
), said AS (
    SELECT number, count(*) AS legs, count(*) FILTER (WHERE own) AS own,
           coalesce(string_agg(line, '' ORDER BY leg) FILTER (WHERE own), '') AS own_lines,
           coalesce(string_agg(line, '' ORDER BY leg) FILTER (WHERE NOT own), '') AS other_lines
    FROM legs GROUP BY number
), digested AS (
    SELECT page.*, coalesce(said.legs, 0) AS legs, unbalanced.sums,
           sha256(convert_to(concat_ws(E'\n', '0pools-ledger-partner-1', page.id, page.organization_id,
               to_char(page.business_date, 'YYYY-MM-DD'), page.reason, page.event_id, page.trade_id, page.quote_id,
               page.request_id, coalesce(said.own, 0) || coalesce(said.own_lines, ''), page.client_reference), 'UTF8'))
           || sha256(convert_to(E'0pools-ledger-others-1\n' || page.id || coalesce(said.other_lines, ''), 'UTF8'))
           AS digests
    FROM page LEFT JOIN said USING (number) LEFT JOIN unbalanced USING (number)
), checked AS (
    SELECT digested.*, sha256(digests) AS content_expected,
           sha256(coalesce(previous.link,
                           sha256(convert_to(E'0pools-ledger-chain-1\n' || digested.organization_id, 'UTF8')))
                  || digests) AS link_expected,
           digested.sequence > 1 AND previous.link IS NULL AS gap,
           inbox.sequence IS NULL OR digested.number - inbox.sequence NOT IN (0, 1) AS foreign_event,
           inbox.sequence AS event_number
    FROM digested
    LEFT JOIN LATERAL (
        SELECT link FROM transactions
        WHERE transactions.organization_id = digested.organization_id AND transactions.sequence = digested.sequence - 1
        LIMIT 1
    ) AS previous ON true
    LEFT JOIN LATERAL (
        SELECT sequence FROM inbox WHERE inbox.event_id = digested.event_id LIMIT 1
    ) AS inbox ON true
), counted AS (
    SELECT max(number) AS last, count(*) AS transactions, coalesce(sum(legs), 0)::bigint AS entries FROM checked
)
SELECT counted.last, counted.transactions, counted.entries, wrong.*
FROM counted LEFT JOIN (
    SELECT number, id, organization_id, sequence, event_id, legs, sums, content_hash, content_expected, link,
           link_expected, gap, foreign_event, event_number
    FROM checked
    WHERE legs = 0 OR sums IS NOT NULL OR content_hash <> content_expected OR gap OR link <> link_expected
       OR foreign_event
) AS wrong ON true
ORDER BY wrong.number
"""

# By range of numbers and not by transaction, so that entries of no transaction are seen too.
_LEGS = """
SELECT entries.transaction_number, entries.leg, transactions.id, accounts.name, accounts.kind, entries.amount,
       entries.balance_after, entries.sequence, transactions.sequence AS transaction_sequence,
       accounts.organization_id AS account_organization_id, transactions.organization_id,
       coalesce(previous.balance_after, 0) + entries.amount AS balance_expected
FROM entries
LEFT JOIN transactions ON transactions.number = entries.transaction_number
LEFT JOIN accounts ON accounts.id = entries.account_id
LEFT JOIN LATERAL (
    SELECT earlier.balance_after FROM entries AS earlier
    WHERE entries.balance_after IS NOT NULL AND earlier.account_id = entries.account_id
      AND earlier.balance_after IS NOT NULL AND earlier.sequence < entries.sequence
    ORDER BY earlier.sequence DESC LIMIT 1
) AS previous ON true
WHERE entries.transaction_number > $1 AND entries.transaction_number <= $2
  AND (transactions.number IS NULL OR accounts.id IS NULL
       OR (accounts.kind = 'partner') <> (entries.balance_after IS NOT NULL)
       OR (accounts.kind = 'partner' AND (
               accounts.organization_id <> transactions.organization_id
               OR entries.sequence IS DISTINCT FROM transactions.sequence
               OR entries.balance_after <> coalesce(previous.balance_after, 0) + entries.amount)))
ORDER BY entries.transaction_number, entries.leg
"""

_OWN_SUMS = """
SELECT account_id, sum(amount) AS amount, count(*) AS entries FROM entries
WHERE transaction_number > $1 AND transaction_number <= $2 AND balance_after IS NULL GROUP BY account_id
"""

_HOLDS = """
WITH page AS MATERIALIZED (
    SELECT holds.*, accounts.organization_id AS account_organization_id FROM (
        SELECT * FROM holds WHERE trade_id > $1 ORDER BY trade_id LIMIT $2
    ) AS holds LEFT JOIN accounts ON accounts.id = holds.account_id
), checked AS (
    SELECT trade_id, organization_id, account_organization_id, account_id, state, amount, ended.statuses, posted.paid
    FROM page LEFT JOIN LATERAL (
        SELECT string_agg(status, ', ' ORDER BY status) AS statuses
        FROM unnest(ARRAY['failed', 'released', 'settled']) AS status
        JOIN inbox ON inbox.state = 'applied' AND inbox.event_id =
            encode(sha256(convert_to(page.trade_id || ':pool.transaction.' || status, 'UTF8')), 'hex')
    ) AS ended ON page.state IN ('open', 'consumed')
    LEFT JOIN LATERAL (
        SELECT -entries.amount AS paid FROM transactions
        JOIN entries ON entries.transaction_number = transactions.number AND entries.account_id = page.account_id
        WHERE transactions.trade_id = page.trade_id AND transactions.trade_id <> ''
          AND transactions.reason = 'buy_debit'
        LIMIT 1
    ) AS posted ON page.state = 'consumed'
), counted AS (
    SELECT max(trade_id) AS last, count(*) AS holds FROM checked
)
SELECT counted.last, counted.holds, told.* FROM counted LEFT JOIN (
    SELECT trade_id, organization_id, account_organization_id, state, statuses, paid, NULL::bigint AS account_id,
           amount, NULL::bigint AS open_holds
    FROM checked
    WHERE (state = 'open' AND statuses IS NOT NULL)
       OR (state = 'consumed' AND coalesce(statuses, '') NOT LIKE '%settled%')
       OR (account_id IS NOT NULL AND account_organization_id IS DISTINCT FROM organization_id)
       OR amount <> paid
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, account_id, sum(amount), count(*)
    FROM checked WHERE state = 'open' GROUP BY account_id
) AS told ON true
ORDER BY told.trade_id
"""

_ACCOUNTS = """
SELECT accounts.id, accounts.name, accounts.kind, accounts.balance, accounts.entry_count, accounts.held,
       accounts.open_holds, coalesce(last.balance_after, 0) AS last_balance, counted.entries,
       accounts.kind || ':' || accounts.currency || ':' || accounts.sub_account
           || CASE WHEN accounts.organization_id || accounts.pool_id = '' THEN ''
                   ELSE ':' || accounts.organization_id || accounts.pool_id END AS name_expected
FROM accounts
LEFT JOIN LATERAL (
    SELECT entries.balance_after FROM entries
    WHERE accounts.kind = 'partner' AND entries.account_id = accounts.id AND entries.balance_after IS NOT NULL
    ORDER BY entries.sequence DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS entries FROM entries
    WHERE accounts.kind = 'partner' AND entries.account_id = accounts.id AND entries.balance_after IS NOT NULL
) AS counted ON true
WHERE accounts.id > $1 ORDER BY accounts.id LIMIT $2
"""

_CHAINS = """
SELECT chain_heads.organization_id, chain_heads.sequence, chain_heads.link, coalesce(last.sequence, 0) AS last_sequence,
       coalesce(last.link, sha256(convert_to(E'0pools-ledger-chain-1\\n' || chain_heads.organization_id, 'UTF8')))
           AS last_link
FROM chain_heads LEFT JOIN LATERAL (
    SELECT transactions.sequence, transactions.link FROM transactions
    WHERE transactions.organization_id = chain_heads.organization_id ORDER BY transactions.sequence DESC LIMIT 1
) AS last ON true
WHERE chain_heads.organization_id > $1 ORDER BY chain_heads.organization_id LIMIT $2
"""

# One step an organization that has a transaction, along the index: those without a head are missed by the look above.
_CHAINS_WITHOUT_HEAD = """
WITH RECURSIVE organizations AS (
    (SELECT organization_id FROM transactions WHERE organization_id > $1 ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT transactions.organization_id FROM transactions
            WHERE transactions.organization_id > organizations.organization_id
            ORDER BY transactions.organization_id LIMIT 1)
    FROM organizations WHERE organizations.organization_id IS NOT NULL
), page AS (
    SELECT organization_id FROM organizations WHERE organization_id IS NOT NULL LIMIT $2
)
SELECT page.organization_id, chain_heads.organization_id IS NULL AS missing
FROM page LEFT JOIN chain_heads USING (organization_id) ORDER BY page.organization_id
"""

_SIGNED_HEADS = """
SELECT signed_heads.organization_id, signed_heads.sequence, signed_heads.link, transactions.link AS found
FROM signed_heads LEFT JOIN transactions USING (organization_id, sequence)
WHERE signed_heads.statement_number = $1 AND signed_heads.organization_id > $2
ORDER BY signed_heads.organization_id LIMIT $3
"""

_TRANSACTION = """
SELECT transactions.*, inbox.topic, inbox.type, inbox.payload, inbox.partition, inbox."offset",
       inbox.request_id AS event_request_id, inbox.traceparent AS event_traceparent
FROM transactions LEFT JOIN inbox ON inbox.event_id = transactions.event_id WHERE number = $1
"""

_TRANSACTION_LEGS = """
SELECT leg, coalesce(accounts.name, '') AS name, amount::text FROM entries
LEFT JOIN accounts ON accounts.id = entries.account_id
WHERE transaction_number = $1 ORDER BY leg
"""


class Sum(NamedTuple):
    """What some rows of an account come to."""

    amount: Decimal
    rows: int


async def take_snapshot(unit: Unit) -> int:
    """Has all that follows in the unit see one moment; answers how many entries there are said to be."""
    await unit.execute(_SNAPSHOT)
    total: int = await unit.fetch_value(_ENTRY_TOTAL)
    return total


async def check_transactions(unit: Unit, *, after_number: int) -> list[Record]:
    """A page of transactions: those that are wrong, each beside the counts; one row without an id where none is."""
    return await unit.fetch(_TRANSACTIONS, after_number, PAGE_TRANSACTIONS)


async def check_legs(unit: Unit, *, after_number: int, to_number: int) -> list[Record]:
    """The entries of a range of transactions that are wrong in themselves or beside the one before."""
    return await unit.fetch(_LEGS, after_number, to_number)


async def sum_of_own_accounts(unit: Unit, *, after_number: int, to_number: int) -> dict[int, Sum]:
    """What a range of transactions moved on our own accounts, by account."""
    rows: list[Any] = await unit.fetch(_OWN_SUMS, after_number, to_number)
    return {row["account_id"]: Sum(row["amount"], row["entries"]) for row in rows}


async def check_holds(unit: Unit, *, after_trade_id: str) -> list[Record]:
    """A page of holds: those that are wrong, and without a trade id the sums of the open ones by account."""
    return await unit.fetch(_HOLDS, after_trade_id, PAGE_ROWS)


async def read_accounts(unit: Unit, *, after_id: int) -> list[Record]:
    """A page of accounts with what their entries say, which for our own accounts is not looked up here."""
    return await unit.fetch(_ACCOUNTS, after_id, PAGE_ROWS)


async def read_chains(unit: Unit, *, after_organization_id: str) -> list[Record]:
    """A page of chain heads, each beside the last transaction of its chain."""
    return await unit.fetch(_CHAINS, after_organization_id, PAGE_ROWS)


async def read_organizations(unit: Unit, *, after_organization_id: str) -> list[Record]:
    """A page of the organizations that have transactions, and whether their head is missing."""
    return await unit.fetch(_CHAINS_WITHOUT_HEAD, after_organization_id, PAGE_ROWS)


async def read_signed_heads(unit: Unit, *, statement_number: int, after_organization_id: str) -> list[Record]:
    """A page of a statement's heads, each beside the link that its chain has at that place now."""
    return await unit.fetch(_SIGNED_HEADS, statement_number, after_organization_id, PAGE_ROWS)


async def read_transaction(unit: Unit, number: int) -> tuple[Record | None, list[Record]]:
    """A transaction with its event's bytes, and its legs."""
    return await unit.fetch_row(_TRANSACTION, number), await unit.fetch(_TRANSACTION_LEGS, number)
