"""Owns writing a page: holds ended, transactions and entries inserted, balances and heads moved on, all in bulk."""

from typing import Any

from ledger.domain.pages import Movement, Page
from ledger.store.arrays import decimals, nullable, numbers, texts
from poolkit.database import Unit

# One statement, so one round trip, for all that lies under the locks of the organizations themselves.
_WRITE = """
WITH ended AS (
    UPDATE holds SET state = ending.state, ended_at = now()
    FROM unnest($1::text::text[], $2::text::bigint[], $3::text::text[]) AS ending (trade_id, account_id, state)
    WHERE holds.trade_id = ending.trade_id AND holds.account_id = ending.account_id AND holds.state = 'open'
    RETURNING holds.trade_id, holds.account_id, holds.amount
), freed AS (
    SELECT account_id, sum(amount) AS amount, count(*) AS holds FROM ended GROUP BY account_id
), moved AS (
    UPDATE accounts SET balance = balance + movement.amount::numeric, entry_count = entry_count + movement.entries,
        held = held - coalesce(freed.amount, 0), open_holds = open_holds - coalesce(freed.holds, 0)
    FROM unnest($4::bigint[], $5::text[], $6::bigint[]) AS movement (id, amount, entries)
    LEFT JOIN freed ON freed.account_id = movement.id
    WHERE accounts.id = movement.id
), extended AS (
    UPDATE chain_heads SET sequence = head.sequence, link = head.link
    FROM unnest($7::text[], $8::bigint[], $9::bytea[]) AS head (organization_id, sequence, link)
    WHERE chain_heads.organization_id = head.organization_id
), posted AS (
    INSERT INTO transactions (number, id, organization_id, sequence, reason, content_hash, link, business_date,
                              event_id, request_id, trade_id, quote_id, client_reference, traceparent)
    SELECT * FROM unnest($10::text::bigint[], $11::text::text[], $12::text::text[], $13::text::bigint[],
                         $14::text::text[], $15::bytea[], $16::bytea[], $17::date[], $18::text::text[],
                         $19::text::text[], $20::text::text[], $21::text::text[], $22::text::text[], $23::text::text[])
), entered AS (
    INSERT INTO entries (transaction_number, leg, account_id, amount, balance_after, sequence)
    SELECT * FROM unnest($24::text::bigint[], $25::text::smallint[], $26::text::bigint[], $27::text::numeric[],
                         $28::text::numeric[], $29::text::bigint[])
)
SELECT (SELECT array_agg(trade_id) FROM ended) AS ended,
       EXISTS (SELECT FROM inbox WHERE state = 'parked' AND awaits = ANY ($30::text[])) AS awaited
"""

# Last, and in order: everyone posts to these accounts, so their locks are held only until the commit that follows.
_MOVE_SYSTEM_ACCOUNTS = """
WITH locked AS MATERIALIZED (
    SELECT id FROM accounts WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE accounts SET balance = balance + movement.amount::numeric, entry_count = entry_count + movement.entries
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS movement (id, amount, entries)
WHERE accounts.id = movement.id AND (SELECT count(*) FROM locked) >= 0
"""


async def write_page(unit: Unit, page: Page, event_ids: list[str]) -> tuple[set[str], bool]:
    """Writes all of the page but the system accounts.

    Answers the trades whose open hold was ended, and whether parked events await one of the `event_ids`.
    """
    heads = [(organization_id, *page.heads[organization_id]) for organization_id in sorted(page.extended)]
    organization_ids, sequences, links = zip(*heads, strict=True) if heads else ((), (), ())
    row: Any = await unit.fetch_row(
        _WRITE,
        texts(list(page.endings)),
        numbers([account_id for _, account_id, _ in page.endings.values()]),
        texts([state for _, _, state in page.endings.values()]),
        list(page.partners),
        [movement.amount for movement in page.partners.values()],
        [movement.entries for movement in page.partners.values()],
        organization_ids,
        sequences,
        links,
        *_columns(page.transactions),
        decimals(page.numbers),
        decimals(page.legs),
        decimals(page.accounts),
        decimals(page.amounts),
        nullable(page.balances_after),
        nullable(page.sequences),
        event_ids,
    )
    return set(row["ended"] or ()), row["awaited"]


def _columns(transactions: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    if not transactions:
        return ("{}", "{}", "{}", "{}", "{}", (), (), (), "{}", "{}", "{}", "{}", "{}", "{}")
    number, id_, organization_id, sequence, reason, content, link, day, *joined = zip(*transactions, strict=True)
    return (
        numbers(number),
        texts(id_),
        texts(organization_id),
        numbers(sequence),
        texts(reason),
        content,
        link,
        day,
        *[texts(column) for column in joined],
    )


async def move_system_accounts(unit: Unit, pages: list[Page]) -> None:
    """Adds what the pages post to our own accounts to their balances, once for each account."""
    movements: dict[int, Movement] = {}
    for page in pages:
        for account_id, movement in page.systems.items():
            earlier = movements.get(account_id)
            if earlier is None:
                movements[account_id] = movement
            else:
                earlier.units += movement.units
                earlier.entries += movement.entries
    if movements:
        await unit.execute(
            _MOVE_SYSTEM_ACCOUNTS,
            list(movements),
            [movement.amount for movement in movements.values()],
            [movement.entries for movement in movements.values()],
        )
