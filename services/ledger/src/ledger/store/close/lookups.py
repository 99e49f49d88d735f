"""Owns looking up what the ledger knows of some trades: legs, open holds, and events that posted nothing."""

from collections.abc import Sequence
from typing import Any

from ledger.domain.close.facts import LedgerEvent, LookedUp, OpenHold, Posted
from ledger.store.close.cursors import EVENT_COLUMNS, amount_of, ledger_event
from poolkit.database import Unit

# Legs keep their number whatever they move: 1 is the partner's, 2 the fee, 6 the inventory (domain/postings.py).
_LEGS = """
SELECT entries.transaction_number, entries.leg, entries.amount::text, accounts.currency
FROM entries JOIN accounts ON accounts.id = entries.account_id
WHERE entries.transaction_number = ANY ($1::bigint[]) AND entries.leg IN (1, 2, 6)
"""
_PLACES = {1: 0, 2: 1, 6: 2}

_HOLDS = """
SELECT holds.trade_id, holds.amount::text, accounts.currency,
       floor(extract(epoch FROM holds.created_at) * 1000)::bigint AS placed_ms
FROM holds JOIN accounts ON accounts.id = holds.account_id
WHERE holds.trade_id = ANY ($1::text[]) AND holds.state = 'open'
"""

_EVENTS = f"SELECT {EVENT_COLUMNS} FROM inbox WHERE event_id = ANY ($1::text[])"  # noqa: S608 - constants only


async def look_up(unit: Unit, numbers: Sequence[int], trade_ids: Sequence[str], event_ids: Sequence[str]) -> LookedUp:
    """The legs of transactions, the open holds of trades, and stored events by id; a statement each, where asked."""
    posted = await _posted(unit, numbers) if numbers else {}
    holds: list[Any] = await unit.fetch(_HOLDS, trade_ids) if trade_ids else []
    return LookedUp(
        posted,
        {
            trade_id: OpenHold(amount, placed_ms)
            for trade_id, text, currency, placed_ms in holds
            if (amount := amount_of(text, currency))
        },
        await _events(unit, event_ids) if event_ids else {},
    )


async def _posted(unit: Unit, numbers: Sequence[int]) -> dict[int, Posted]:
    rows: list[Any] = await unit.fetch(_LEGS, numbers)
    legs: dict[int, list[Any]] = {}
    for number, leg, text, currency in rows:
        legs.setdefault(number, [None, None, None])[_PLACES[leg]] = amount_of(text, currency)
    return {number: Posted(*amounts) for number, amounts in legs.items()}


async def _events(unit: Unit, event_ids: Sequence[str]) -> dict[str, LedgerEvent]:
    rows = await unit.fetch(_EVENTS, event_ids)
    return {row["event_id"]: ledger_event(row) for row in rows}
