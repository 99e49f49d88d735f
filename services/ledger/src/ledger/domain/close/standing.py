"""Owns judging what stands at the end of a date: unapplied events, balances, inventories and chain heads."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ledger.domain.close.facts import Amount, LedgerEvent, LedgerNote
from ledger.domain.close.findings import LEDGER, QUOTE, Finding, Ids, Sided, said_amount
from ledger.domain.close.kinds import Kind
from ledger.domain.close.trades import DEAD, Limits


class PartnerBalance(NamedTuple):
    """What a partner had in one currency at the end of the date."""

    organization_id: str
    amount: Amount


class InventoryLine(NamedTuple):
    """A pool's stock of one currency at the end of the date, as both owners know it; None where one knows none."""

    pool_id: str
    currency: str
    ledger: Amount | None
    quote: Amount | None


class BrokenChain(NamedTuple):
    """A chain that does not end in its head, or no longer holds a head that was signed.

    Without an organization: what was signed of all of them does not hold.
    """

    organization_id: str
    sequence: int
    why: str
    transaction_id: str


def judge_event(event: LedgerEvent, trade_id: str, limits: Limits) -> Finding | None:
    """A parked or dead event of the ledger; one that is parked may wait a while."""
    if event.state != DEAD and limits.is_waiting_fairly(event.received_ms):
        return None
    if event.state == DEAD:
        why = f"The ledger could not apply this event of type {event.type}: {event.why or 'it was given up'}"
    else:
        why = f"The ledger keeps this event of type {event.type} parked until event {event.awaits} comes."
    return Finding(Kind.EVENT_NOT_PROCESSED, _event_ids(event, trade_id), why, (), event.received_ms)


def judge_reused(note: LedgerNote) -> Finding:
    """An event whose id belongs to other bytes already."""
    ids = Ids(organization_id=note.organization_id, trade_id=note.trade_id, event_id=note.event_id)
    why = f"An event came to the ledger under an id that belongs to another: {note.detail}"
    return Finding(Kind.EVENT_ID_REUSED, ids, why, (), note.occurred_ms)


def judge_balance(balance: PartnerBalance, cut_ms: int) -> Finding:
    """A balance below zero."""
    return Finding(
        Kind.NEGATIVE_PARTNER_BALANCE,
        Ids(organization_id=balance.organization_id),
        f"The partner's balance is {said_amount(balance.amount)} at the end of the date.",
        (Sided(LEDGER, "balance", balance.amount),),
        cut_ms,
    )


def judge_inventory(lines: Iterable[InventoryLine], cut_ms: int) -> Iterator[Finding]:
    """Each pool and currency on which the two do not agree; nothing known is nothing there."""
    for line in lines:
        zero = Amount(0, line.currency)
        ledger, quote = line.ledger or zero, line.quote or zero
        if ledger != quote:
            yield Finding(
                Kind.INVENTORY_DIFFERENCE,
                Ids(pool_id=line.pool_id),
                f"The ledger has {said_amount(ledger)} in the pool, and quote has {said_amount(quote)}.",
                (Sided(LEDGER, "inventory", ledger), Sided(QUOTE, "inventory", quote)),
                cut_ms,
            )


def judge_chain(chain: BrokenChain, cut_ms: int) -> Finding:
    """A chain, or what was signed of all chains, that somebody has changed."""
    where = f"The chain of {chain.organization_id} does not verify at its transaction {chain.sequence}"
    return Finding(
        Kind.CHAIN_HEAD_NOT_VERIFIED,
        Ids(organization_id=chain.organization_id, ledger_transaction_id=chain.transaction_id),
        f"{where}: {chain.why}." if chain.organization_id else f"No chain verifies: {chain.why}.",
        (),
        cut_ms,
    )


def _event_ids(event: LedgerEvent, trade_id: str) -> Ids:
    return Ids(
        organization_id=event.organization_id,
        trade_id=trade_id,
        event_id=event.event_id,
        request_id=event.request_id,
    )
