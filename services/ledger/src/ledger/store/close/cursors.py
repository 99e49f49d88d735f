"""Owns reading the ledger's rows of a date in key order, by server-side cursors in one snapshot, a page at a time."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any, Final

from ledger.domain.close.facts import Amount, LedgerEvent, LedgerNote, PayinRow, PostingRow, amount
from poolkit.database import Record, Unit
from poolkit.kafka import PAYIN_ALLOCATED, PAYIN_CREDITED

PAGE_ROWS: Final = 2_000

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# A cursor is planned as if only a tenth of it were read; these are read to the end.
_WHOLE = "SET LOCAL cursor_tuple_fraction = 1"
_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"

EVENT_COLUMNS: Final = """inbox.event_id, inbox.type, inbox.organization_id, inbox.request_id, inbox.state,
       coalesce(inbox.sequence, 0) AS sequence, inbox.awaits,
       coalesce((SELECT detail FROM exceptions AS x WHERE x.event_id = inbox.event_id AND x.kind = 'dead_letter'
                 ORDER BY x.id DESC LIMIT 1), '') AS why,
       coalesce(inbox.occurred_ms, 0) AS occurred_ms,
       floor(extract(epoch FROM inbox.received_at) * 1000)::bigint AS received_ms"""

# A cursor takes no parameters; the date is one, so its text is nothing but digits and dashes.
_POSTINGS = """
SELECT trade_id, number, id, organization_id, event_id, quote_id, request_id, client_reference
FROM transactions WHERE business_date = DATE '{day}' AND trade_id <> '' ORDER BY trade_id, number
"""

_NOTES = """
SELECT x.trade_id, x.kind, x.event_id, x.organization_id, x.detail, coalesce(inbox.occurred_ms, 0) AS occurred_ms
FROM exceptions AS x JOIN inbox ON inbox.event_id = x.event_id
WHERE x.kind = 'settled_without_hold' AND inbox.business_date = DATE '{day}' ORDER BY x.trade_id, x.id
"""

_PAYINS = (
    f"SELECT {EVENT_COLUMNS}"  # noqa: S608 - constants only
    """, transactions.id AS transaction_id, entries.amount::text AS amount, accounts.currency,
       EXISTS (SELECT FROM inbox AS allocation WHERE allocation.awaits = inbox.event_id
               AND allocation.topic = '{allocated}' AND allocation.state = 'applied') AS allocated
FROM inbox
LEFT JOIN transactions ON transactions.number = inbox.sequence
LEFT JOIN entries ON entries.transaction_number = inbox.sequence AND entries.leg = 1
LEFT JOIN accounts ON accounts.id = entries.account_id
WHERE inbox.business_date = DATE '{day}' AND inbox.topic = '{credited}' ORDER BY inbox.event_id
"""
)


class DayRows:
    """The cursors of one date over one unit, which belongs to them alone until it ends."""

    def __init__(self, unit: Unit, business_date: date) -> None:
        self._unit = unit
        self._day = business_date.isoformat()

    async def open(self) -> None:
        """Takes the snapshot and declares every cursor; afterwards statements go by index again."""
        unit = self._unit
        await unit.execute(_SNAPSHOT)
        await unit.plan_for_report()
        await unit.execute(_WHOLE)
        await self._declare("postings", _POSTINGS)
        await self._declare("notes", _NOTES)
        await self._declare("payins", _PAYINS, allocated=PAYIN_ALLOCATED, credited=PAYIN_CREDITED)
        await unit.execute(_BY_INDEX)

    async def postings(self) -> AsyncIterator[Sequence[PostingRow]]:
        """Transactions that name a trade, by trade id."""
        async for rows in self._pages("postings"):
            yield [PostingRow(*row) for row in rows]

    async def notes(self) -> AsyncIterator[Sequence[LedgerNote]]:
        """What was noticed about trades while events of the date were applied, by trade id."""
        async for rows in self._pages("notes"):
            yield [LedgerNote(*row) for row in rows]

    async def payins(self) -> AsyncIterator[Sequence[tuple[str, PayinRow]]]:
        """Pay-ins by event id."""
        async for rows in self._pages("payins"):
            yield [(row["event_id"], _payin(row)) for row in rows]

    async def _declare(self, name: str, sql: str, **names: str) -> None:
        await self._unit.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql.format(day=self._day, **names)}")

    async def _pages(self, name: str) -> AsyncIterator[list[Record]]:
        while rows := await self._unit.fetch(f"FETCH {PAGE_ROWS} FROM {name}"):
            yield rows


def ledger_event(row: Record) -> LedgerEvent:
    """A row that begins with EVENT_COLUMNS."""
    return LedgerEvent(*tuple(row)[: len(LedgerEvent._fields)])


def amount_of(text: str | None, currency: str | None) -> Amount | None:
    """What a numeric column says, as minor units; None for NULL."""
    return None if text is None or currency is None else amount(text, currency)


def _payin(row: Any) -> PayinRow:
    return PayinRow(
        ledger_event(row), amount_of(row["amount"], row["currency"]), row["transaction_id"] or "", row["allocated"]
    )
