"""Owns reading what stands at the end of a date: balances less what was posted since, unapplied events, chain heads."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from ledger.domain.accounts import INVENTORY, PARTNER
from ledger.domain.close.contents import TrialLine
from ledger.domain.close.facts import Amount, LedgerEvent, LedgerNote
from ledger.domain.close.standing import BrokenChain, PartnerBalance
from ledger.store.close.cursors import EVENT_COLUMNS, amount_of, ledger_event
from poolkit.database import Unit

PAGE_ROWS: Final = 500

# What was posted for later dates is few just after midnight, when dates are closed; nobody has to sum up all of time.
_LATER = """
WITH later AS MATERIALIZED (
    SELECT entries.account_id, sum(entries.amount) AS amount, count(*) AS entries
    FROM transactions JOIN entries ON entries.transaction_number = transactions.number
    WHERE transactions.business_date > $1 GROUP BY entries.account_id
)"""

_BALANCES = f"""{_LATER}
SELECT kind, pool_id, currency, sum(balance - coalesce(later.amount, 0))::text AS amount,
       sum(entry_count - coalesce(later.entries, 0))::bigint AS entries
FROM accounts LEFT JOIN later ON later.account_id = accounts.id
GROUP BY kind, pool_id, currency
"""  # noqa: S608 - constants only

_NEGATIVE = f"""{_LATER}
SELECT organization_id, (balance - coalesce(later.amount, 0))::text AS amount, currency
FROM accounts LEFT JOIN later ON later.account_id = accounts.id
WHERE kind = '{PARTNER}' AND balance - coalesce(later.amount, 0) < 0
ORDER BY organization_id, currency
"""  # noqa: S608 - constants only

# Found by the few that are parked or dead, not by walking all event ids in their order.
_UNAPPLIED = f"""
WITH found AS MATERIALIZED (
    SELECT event_id FROM inbox WHERE state = 'parked' AND business_date = $1
    UNION ALL
    SELECT event_id FROM inbox
    WHERE state = 'dead' AND (business_date = $1
        OR business_date IS NULL AND received_at >= $2 AND received_at < $3)
), page AS MATERIALIZED (
    SELECT event_id FROM found WHERE event_id > $4 ORDER BY event_id LIMIT {PAGE_ROWS}
)
SELECT {EVENT_COLUMNS}, inbox.topic, inbox.payload FROM page JOIN inbox USING (event_id) ORDER BY inbox.event_id
"""  # noqa: S608 - constants only

_REUSED = f"""
SELECT id, trade_id, kind, event_id, organization_id, detail,
       floor(extract(epoch FROM created_at) * 1000)::bigint AS occurred_ms
FROM exceptions WHERE kind = 'event_id_reused' AND created_at >= $1 AND created_at < $2 AND id > $3
ORDER BY id LIMIT {PAGE_ROWS}
"""  # noqa: S608 - constants only

_BROKEN = """
SELECT heads.organization_id, coalesce(last.sequence, 0) AS sequence, coalesce(last.id, '') AS transaction_id,
       'its head is not its last transaction' AS why
FROM chain_heads AS heads LEFT JOIN LATERAL (
    SELECT sequence, link, id FROM transactions
    WHERE transactions.organization_id = heads.organization_id ORDER BY sequence DESC LIMIT 1
) AS last ON true
WHERE heads.sequence <> coalesce(last.sequence, 0) OR last.link <> heads.link
UNION ALL
SELECT heads.organization_id, signed.sequence, coalesce(posted.id, ''),
       'the head that was signed at ' || statements.business_date || ' is not in it any more'
FROM chain_heads AS heads JOIN LATERAL (
    SELECT sequence, link, statement_number FROM signed_heads
    WHERE signed_heads.organization_id = heads.organization_id ORDER BY sequence DESC LIMIT 1
) AS signed ON true
JOIN head_statements AS statements ON statements.number = signed.statement_number
LEFT JOIN transactions AS posted
    ON posted.organization_id = heads.organization_id AND posted.sequence = signed.sequence
WHERE posted.link IS DISTINCT FROM signed.link
ORDER BY 1, 2
"""

_SEQUENCE = "SELECT coalesce(max(sequence), 0)::bigint FROM inbox"


class Balances(NamedTuple):
    """The books at the end of a date."""

    lines: list[TrialLine]
    inventory: dict[tuple[str, str], tuple[Amount, int]]
    """By pool and currency: what lies there, and how many entries moved it. Accounts count it with the other sign."""


class Unapplied(NamedTuple):
    """An event that has no effect, with its bytes."""

    event: LedgerEvent
    topic: str
    payload: bytes


async def read_balances(unit: Unit, business_date: date) -> Balances:
    """Trial balance and inventories by the end of the date. Ends going by index for this unit."""
    await unit.plan_for_report()
    rows: list[Any] = await unit.fetch(_BALANCES, business_date)
    lines: dict[tuple[str, str], tuple[int, int]] = {}
    inventory = {}
    for kind, pool_id, currency, text, entries in rows:
        amount = amount_of(text, currency) or Amount(0, currency)
        units, count = lines.get((kind, currency), (0, 0))
        lines[kind, currency] = (units + amount.units, count + entries)
        if kind == INVENTORY:
            inventory[pool_id, currency] = (Amount(-amount.units, currency), entries)
    return Balances(
        [TrialLine(kind, Amount(units, currency), count) for (kind, currency), (units, count) in lines.items()],
        inventory,
    )


async def read_negative(unit: Unit, business_date: date) -> list[PartnerBalance]:
    """Partners below zero at the end of the date, by organization."""
    rows: list[Any] = await unit.fetch(_NEGATIVE, business_date)
    return [
        PartnerBalance(organization_id, amount_of(text, currency) or Amount(0, currency))
        for organization_id, text, currency in rows
    ]


async def read_unapplied(unit: Unit, business_date: date) -> AsyncIterator[Sequence[Unapplied]]:
    """Parked and dead events of the date by event id; those whose date nobody could read by when they came."""
    after = ""
    while rows := await unit.fetch(_UNAPPLIED, business_date, *_bounds(business_date), after):
        yield [Unapplied(ledger_event(row), row["topic"], row["payload"]) for row in rows]
        after = rows[-1]["event_id"]


async def read_reused(unit: Unit, business_date: date) -> AsyncIterator[Sequence[LedgerNote]]:
    """Events that came on the date under an id that belongs to others, in the order in which they came."""
    after = 0
    while rows := await unit.fetch(_REUSED, *_bounds(business_date), after):
        yield [LedgerNote(*tuple(row)[1:]) for row in rows]
        after = rows[-1]["id"]


async def read_broken_chains(unit: Unit) -> list[BrokenChain]:
    """Chains that do not end in their head, or no longer hold the head that was signed last."""
    rows: list[Any] = await unit.fetch(_BROKEN)
    return [BrokenChain(organization_id, sequence, why, id_) for organization_id, sequence, id_, why in rows]


async def read_inbox_sequence(unit: Unit) -> int:
    """The place of the newest applied event."""
    sequence: int = await unit.fetch_value(_SEQUENCE)
    return sequence


def _bounds(business_date: date) -> tuple[datetime, datetime]:
    start = datetime(business_date.year, business_date.month, business_date.day, tzinfo=UTC)
    return start, datetime.fromtimestamp(start.timestamp() + 86_400, UTC)
