"""Owns the postings: which accounts each event moves by how much. A function of the event alone; no clock, no order.

Each posting becomes one ledger transaction in one organization's chain and sums to zero per currency. A leg that would
move nothing is not written; the others keep their number, so that no entry's id depends on another leg's amount.

Source: contract section 8, whose worked example (100.00 EUR at 1.085000, fee 20 bps, spread 35 bps) is in the tests.
"""

from typing import Final, NamedTuple

from ledger.domain.accounts import (
    BANK,
    CLEARING,
    CONVERSION,
    FEES,
    INVENTORY,
    SPREAD,
    SUSPENSE,
    TREASURY,
    UNALLOCATED,
    Account,
    partner_account,
    sub_account_of,
    system_account,
)
from ledger.domain.amounts import crypto_at_rate, fiat_at_rate
from ledger.domain.events import (
    ON_RAMP,
    RETURNED,
    SETTLED,
    Event,
    PayinAllocated,
    PayinCredited,
    TradeTerminal,
    TreasuryMoved,
)
from poolkit.money import FIAT

PAYIN_CREDIT: Final = "payin_credit"
BUY_DEBIT: Final = "buy_debit"
BUY_REFUND: Final = "buy_refund"
SELL_CREDIT: Final = "sell_credit"
SELL_REVERSAL: Final = "sell_reversal"

PARTNER_REASONS: Final = frozenset({PAYIN_CREDIT, BUY_DEBIT, BUY_REFUND, SELL_CREDIT, SELL_REVERSAL})
"""What a partner may read as the reason of an entry."""

PAYIN_SUSPENDED: Final = "payin_suspended"
PAYIN_ALLOCATED: Final = "payin_allocated"
TREASURY_MOVED: Final = "treasury_moved"

REASONS: Final = PARTNER_REASONS | {PAYIN_SUSPENDED, PAYIN_ALLOCATED, TREASURY_MOVED}


Leg = tuple[Account, int]
"""One entry to be: an account, and how many minor units more or less it will have. Its number is its place, from 1."""


class Posting(NamedTuple):
    """One ledger transaction to be. The partner's leg, if it has one, comes first; a leg of zero is not written."""

    organization_id: str
    """Whose chain it extends."""
    reason: str
    legs: tuple[Leg, ...]


def postings_of(event: Event) -> tuple[Posting, ...]:
    """What the event writes: nothing for failed and released, two postings for an allocation, else one.

    A treasury movement of fiat writes nothing either: it limits payouts and has no account (contract section 5).
    """
    cause = event.cause
    if isinstance(cause, TradeTerminal):
        return _trade(event.organization_id, cause)
    if isinstance(cause, PayinCredited):
        return (_payin(event.organization_id, cause),)
    if isinstance(cause, PayinAllocated):
        return _allocation(event.organization_id, cause)
    return () if cause.currency in FIAT else (_treasury(event.organization_id, cause),)


def _trade(organization_id: str, trade: TradeTerminal) -> tuple[Posting, ...]:
    if trade.status not in {SETTLED, RETURNED}:
        return ()
    if trade.side == ON_RAMP:
        legs, reason, mirrored = _buy_legs(organization_id, trade), BUY_DEBIT, BUY_REFUND
    else:
        legs, reason, mirrored = _sell_legs(organization_id, trade), SELL_CREDIT, SELL_REVERSAL
    if trade.status == RETURNED:
        legs, reason = tuple([(account, -amount) for account, amount in legs]), mirrored
    return (Posting(organization_id, reason, legs),)


def _buy_legs(organization_id: str, trade: TradeTerminal) -> tuple[Leg, ...]:
    """The partner pays fiat, the pool gives crypto.

    Spread takes what is left of the crypto that the net fiat is worth at the rate before spread, so the rounding
    residue of the quote's price ends there; with amounts priced by contract section 5 it is never negative.
    """
    fiat, crypto = trade.fiat_currency, trade.crypto_currency
    part = sub_account_of(organization_id)
    net = trade.fiat - trade.fee
    gross = fiat_at_rate(net, trade.rate, fiat_currency=fiat, crypto_currency=crypto)
    return (
        (partner_account(organization_id, fiat), -trade.fiat),
        (system_account(FEES, fiat, part), trade.fee),
        (system_account(CONVERSION, fiat, part), net),
        (system_account(CONVERSION, crypto, part), -gross),
        (system_account(SPREAD, crypto, part), gross - trade.crypto),
        (system_account(INVENTORY, crypto, part, trade.pool_id), trade.crypto),
    )


def _sell_legs(organization_id: str, trade: TradeTerminal) -> tuple[Leg, ...]:
    """The partner pays crypto, the pool gives fiat; spread takes the rounding residue, in fiat."""
    fiat, crypto = trade.fiat_currency, trade.crypto_currency
    part = sub_account_of(organization_id)
    gross = crypto_at_rate(trade.crypto, trade.rate, fiat_currency=fiat, crypto_currency=crypto)
    return (
        (partner_account(organization_id, fiat), trade.fiat),
        (system_account(FEES, fiat, part), trade.fee),
        (system_account(SPREAD, fiat, part), gross - trade.fiat - trade.fee),
        (system_account(CONVERSION, fiat, part), -gross),
        (system_account(CONVERSION, crypto, part), trade.crypto),
        (system_account(INVENTORY, crypto, part, trade.pool_id), -trade.crypto),
    )


def _payin(organization_id: str, payin: PayinCredited) -> Posting:
    part = sub_account_of(organization_id)
    bank = (system_account(BANK, payin.currency, part), -payin.amount)
    if organization_id == UNALLOCATED:
        suspense = system_account(SUSPENSE, payin.currency, part)
        return Posting(organization_id, PAYIN_SUSPENDED, ((suspense, payin.amount), bank))
    partner = partner_account(organization_id, payin.currency)
    return Posting(organization_id, PAYIN_CREDIT, ((partner, payin.amount), bank))


def _allocation(organization_id: str, allocation: PayinAllocated) -> tuple[Posting, Posting]:
    """Out of suspense in one chain, to the partner in the other; the clearing account between them ends at zero."""
    currency, amount = allocation.currency, allocation.amount
    # Both legs go to the part of the organization that receives the money: so each clearing account ends at zero.
    clearing = system_account(CLEARING, currency, sub_account_of(organization_id))
    suspense = system_account(SUSPENSE, currency, sub_account_of(UNALLOCATED))
    partner = partner_account(organization_id, currency)
    return (
        Posting(UNALLOCATED, PAYIN_ALLOCATED, ((suspense, -amount), (clearing, amount))),
        Posting(organization_id, PAYIN_CREDIT, ((partner, amount), (clearing, -amount))),
    )


def _treasury(organization_id: str, movement: TreasuryMoved) -> Posting:
    part = sub_account_of(organization_id)
    inventory = system_account(INVENTORY, movement.currency, part, movement.pool_id)
    treasury = system_account(TREASURY, movement.currency, part)
    return Posting(organization_id, TREASURY_MOVED, ((inventory, -movement.amount), (treasury, movement.amount)))
