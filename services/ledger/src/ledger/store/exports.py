"""Owns reading an organization's chain as the organization may see it, in pages along its index."""

from datetime import date, datetime
from typing import Any, Final, NamedTuple

from poolkit.database import Database

PAGE_TRANSACTIONS: Final = 1_000

# What is said of the other legs is hashed here, so that they never leave the database. Source: domain/chain.py.
_PAGE = r"""
SELECT page.sequence, page.id, page.business_date, page.reason, page.event_id, page.trade_id, page.quote_id,
       page.request_id, page.client_reference, legs.own_leg, legs.currency, legs.amount, legs.balance_after,
       sha256(convert_to(E'0pools-ledger-others-1\n' || page.id || coalesce(legs.other_lines, ''), 'UTF8')) AS others,
       page.link, page.created_at
FROM (
    SELECT * FROM transactions WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
) AS page
LEFT JOIN LATERAL (
    SELECT string_agg(E'\nle_' || substr(page.id, 8) || entries.leg || ' ' || accounts.name || ' ' || entries.amount,
                      '' ORDER BY entries.leg) FILTER (WHERE accounts.kind <> 'partner') AS other_lines,
           max(entries.leg) FILTER (WHERE accounts.kind = 'partner') AS own_leg,
           max(accounts.currency) FILTER (WHERE accounts.kind = 'partner') AS currency,
           max(entries.amount) FILTER (WHERE accounts.kind = 'partner')::text AS amount,
           max(entries.balance_after) FILTER (WHERE accounts.kind = 'partner')::text AS balance_after
    FROM entries JOIN accounts ON accounts.id = entries.account_id
    WHERE entries.transaction_number = page.number
) AS legs ON true
ORDER BY page.sequence
"""


class ExportedTransaction(NamedTuple):
    """A transaction, the organization's own leg of it, and the digest of the others."""

    sequence: int
    id: str
    business_date: date
    reason: str
    event_id: str
    trade_id: str
    quote_id: str
    request_id: str
    client_reference: str
    own_leg: int | None
    currency: str | None
    amount: str | None
    balance_after: str | None
    others: bytes
    link: bytes
    created_at: datetime


async def read_chain(database: Database, organization_id: str, *, after_sequence: int) -> list[ExportedTransaction]:
    """A page of the chain behind a sequence, in order; empty at its end."""
    rows: list[Any] = await database.fetch(_PAGE, organization_id, after_sequence, PAGE_TRANSACTIONS)
    return [ExportedTransaction(*row) for row in rows]
