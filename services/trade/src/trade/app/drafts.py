"""Owns the last step of the saga: making drafts trades, with what is decided in the same transaction about some.

That is the rolling cap of organizations that have one, and the deposit address of a sale. Everything else is written
without a transaction around it, by the one statement that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from poolkit.database import Database, Unit
from poolkit.errors import DomainError, Unavailable, VelocityExceeded
from poolkit.outbox import OutboxEvent, Row, rows
from poolkit.relay import Relay
from trade.app import measures
from trade.app.ports import Events
from trade.domain.intent import Attempt
from trade.domain.trade import Side, Trade
from trade.domain.velocity import Candidate, exceeding
from trade.store import deposits
from trade.store.reserving import reserve
from trade.store.velocity import used_notional

GATHER_SECONDS: Final = 0.02
"""How long a reserved trade's event may wait for others to leave with: settlement takes seconds (ADR 14)."""


class Draft(NamedTuple):
    """What an attempt will be once it is reserved."""

    attempt: Attempt
    trade: Trade
    event: OutboxEvent


class Written(NamedTuple):
    """What came of drafts."""

    trades: list[Trade]
    """Those that are reserved now."""
    overtaken: list[Attempt]
    """Those on which another driver holds a newer claim."""
    refused: list[tuple[Attempt, DomainError]]
    """Those to undo, and why: over the cap, or a sale for which there is no deposit address left."""
    told: list[Row]
    """The events of those that are reserved, as appended."""


async def write_drafts(database: Database, relay: Relay, events: Events, drafts: Sequence[Draft]) -> Written:
    """Makes the drafts trades, all in one transaction. Raises DomainError when nobody knows."""
    notify = not relay.takes_over
    if any(draft.attempt.request.notional_caps or _is_sale(draft) for draft in drafts):
        written = await _write_decided(database, events, drafts, notify=notify)
    else:
        written = await _write(database, drafts, [], notify=notify)
    relay.hand_over(written.told, gather_seconds=GATHER_SECONDS)
    measures.RESERVED.inc(len(written.trades))
    return written


async def _write_decided(database: Database, events: Events, drafts: Sequence[Draft], *, notify: bool) -> Written:
    async with database.transaction() as unit:
        within, refused = await _within_caps(unit, drafts)
        ready, without = await _with_addresses(unit, events, within)
        written = await _write(unit, ready, [*refused, *without], notify=notify)
        sales = [trade for trade in written.trades if trade.deposit_address]
        if sales:
            await deposits.assign(unit, sales)
        await unit.commit()
    return written


async def _write(
    target: Database | Unit,
    drafts: Sequence[Draft],
    refused: list[tuple[Attempt, DomainError]],
    *,
    notify: bool,
) -> Written:
    if not drafts:
        return Written([], [], refused, [])
    attempts, trades, events = zip(*drafts, strict=True)
    sequences = await reserve(target, attempts, trades, events, notify=notify)
    return Written(
        [draft.trade for draft in drafts if draft.event.event_id in sequences],
        [draft.attempt for draft in drafts if draft.event.event_id not in sequences],
        refused,
        rows(events, sequences),
    )


async def _within_caps(unit: Unit, drafts: Sequence[Draft]) -> tuple[list[Draft], list[tuple[Attempt, DomainError]]]:
    capped = {draft.attempt.request.organization_id for draft in drafts if draft.attempt.request.notional_caps}
    if not capped:
        return list(drafts), []
    used = await used_notional(unit, capped)
    candidates = []
    for attempt, trade, _ in drafts:
        terms = trade.terms
        cap = attempt.request.notional_caps.get(terms.fiat_currency)
        candidates.append(
            Candidate(
                attempt.request.organization_id,
                terms.fiat_currency,
                Decimal(terms.fiat_amount),
                None if cap is None else Decimal(cap),
            )
        )
    over = exceeding(candidates, used=used)
    return (
        [draft for draft, is_over in zip(drafts, over, strict=True) if not is_over],
        [(draft.attempt, VelocityExceeded()) for draft, is_over in zip(drafts, over, strict=True) if is_over],
    )


async def _with_addresses(
    unit: Unit, events: Events, drafts: Sequence[Draft]
) -> tuple[list[Draft], list[tuple[Attempt, DomainError]]]:
    """Gives each sale an address of its own; one for which there is none left is refused, and may come again."""
    sales = [draft.trade for draft in drafts if _is_sale(draft)]
    addresses = await deposits.take(unit, sales) if sales else {}
    ready: list[Draft] = []
    without: list[tuple[Attempt, DomainError]] = []
    for draft in drafts:
        if not _is_sale(draft):
            ready.append(draft)
        elif draft.trade.trade_id in addresses:
            trade = replace(draft.trade, deposit_address=addresses[draft.trade.trade_id])
            # The settlement side learns from the event where the crypto will arrive.
            event = events.reserved(trade, draft.attempt.request.traceparent)
            ready.append(Draft(draft.attempt, trade, event))
        else:
            without.append((draft.attempt, Unavailable()))
    return ready, without


def _is_sale(draft: Draft) -> bool:
    return draft.trade.terms.side is Side.OFF_RAMP
