"""Owns what the ledger understands of an event: who, when, and the facts its postings are made of.

Every class here is a plain value: the same bytes always give the same event, and the same event the same postings.
"""

from datetime import date
from typing import Final, NamedTuple

from poolkit.errors import InvalidRequest
from poolkit.ids import event_id

ON_RAMP: Final = "on_ramp"
OFF_RAMP: Final = "off_ramp"

SETTLED: Final = "settled"
FAILED: Final = "failed"
RELEASED: Final = "released"
RETURNED: Final = "returned"

TRADE_EVENT_TYPE: Final = "pool.transaction."
"""A trade's event type is this and its status."""


class TradeTerminal(NamedTuple):
    """A trade reached a terminal status. Amounts are minor units, as locked by the quote."""

    trade_id: str
    quote_id: str
    pool_id: str
    side: str
    status: str
    number: int
    """1 for the first terminal event of the trade, 2 for `returned`."""
    fiat_currency: str
    fiat: int
    fee: int
    crypto_currency: str
    crypto: int
    rate: str
    client_reference: str


class PayinCredited(NamedTuple):
    """A bank told of money received; the event's organization is `unallocated` when the reference was unknown."""

    currency: str
    amount: int


class PayinAllocated(NamedTuple):
    """A person told whose an unallocated pay-in is; the event's organization receives it."""

    payin_event_id: str
    currency: str
    amount: int


class TreasuryMoved(NamedTuple):
    """A pool's inventory was topped up (positive) or drawn down (negative)."""

    pool_id: str
    currency: str
    amount: int


Cause = TradeTerminal | PayinCredited | PayinAllocated | TreasuryMoved


class Event(NamedTuple):
    """An event as received, with its bytes and what they say."""

    event_id: str
    topic: str
    type: str
    organization_id: str
    business_date: date
    occurred_ms: int
    """When the transition happened, in Unix milliseconds by its owner's clock."""
    payload: bytes
    """The bytes as published; kept for good."""
    request_id: str
    traceparent: str
    partition: int
    offset: int
    awaits: str
    """The id of the event that must have been applied before this one; empty when it may be applied at once."""
    cause: Cause


def awaited_by(cause: Cause) -> str:
    """The id of the event that must come first: `settled` for `returned`, the pay-in for its allocation."""
    if isinstance(cause, TradeTerminal):
        return event_id(cause.trade_id, TRADE_EVENT_TYPE + SETTLED) if cause.number > 1 else ""
    return cause.payin_event_id if isinstance(cause, PayinAllocated) else ""


def check_trade(cause: TradeTerminal) -> TradeTerminal:
    """Refuse what cannot be a trade's terminal event. Raises InvalidRequest naming the field.

    The amounts are the trade owner's to judge; here only what the postings could not be made from.
    """
    if cause.side not in {ON_RAMP, OFF_RAMP}:
        raise InvalidRequest(f"{cause.side!r} is neither on_ramp nor off_ramp.", field="trade.side")
    if cause.status not in {SETTLED, FAILED, RELEASED, RETURNED}:
        raise InvalidRequest(f"{cause.status!r} is not a terminal status.", field="trade.status")
    if cause.number != (2 if cause.status == RETURNED else 1):
        raise InvalidRequest(f"{cause.status!r} cannot be event number {cause.number}.", field="number")
    if cause.fiat <= 0 or cause.crypto <= 0 or cause.fee < 0:
        raise InvalidRequest("fiat and crypto must be greater than zero and the fee not negative.", field="trade")
    for name, value in (("trade.transact_id", cause.trade_id), ("trade.pool_id", cause.pool_id)):
        # Names stand in the hashed text between spaces and line ends.
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise InvalidRequest(f"{value!r} is not an id.", field=name)
    return cause
