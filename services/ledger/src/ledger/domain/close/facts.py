"""Owns what the owners tell a close, as plain values: trades and their ends, reports, pay-ins, and the ledger's rows.

Amounts are minor units with their currency. Times are Unix milliseconds, 0 where nobody knows.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from ledger.domain.amounts import minor_units
from ledger.domain.identities import occurred_ms

RESERVED: Final = "reserved"


class Amount(NamedTuple):
    """Minor units of a currency, signed."""

    units: int
    currency: str


@lru_cache(maxsize=65_536)
def amount(text: str, currency: str) -> Amount:
    """An amount from text. Each is told by up to four sides, so most have been read a moment before."""
    return Amount(minor_units(text, currency), currency)


class Transition(NamedTuple):
    """A trade's end on the date: settled, failed or released, or returned after settled."""

    status: str
    number: int
    """1 for the first terminal event of the trade, 2 for `returned`."""
    event_id: str
    source: str
    provider_event_id: str
    webhook_id: str
    reported: Amount | None
    """What trade noted that the provider delivered."""
    at_ms: int


class TradeFact(NamedTuple):
    """A trade as its owner knows it."""

    trade_id: str
    organization_id: str
    quote_id: str
    pool_id: str
    side: str
    status: str
    """As of when it was asked, whatever the date."""
    fiat: Amount
    crypto: Amount
    fee: Amount
    client_reference: str
    request_id: str
    reconciliation_state: str
    reserved_ms: int
    transitions: tuple[Transition, ...]
    """Of the date; none of a trade that is open."""


class Processing(NamedTuple):
    """What became of a webhook."""

    state: str
    """`received` waits still, `processed` has its effect, `exception` was given up, `conflict` never has one."""
    effect: str
    detail: str
    first_webhook_id: str
    request_id: str
    received_ms: int


class ReportFact(NamedTuple):
    """A provider's report on a trade."""

    trade_id: str
    webhook_id: str
    source: str
    provider_event_id: str
    status: str
    """What it says became of the trade."""
    crypto: Amount | None
    processing: Processing


class PayinFact(NamedTuple):
    """A bank's report of money received."""

    event_id: str
    webhook_id: str
    source: str
    provider_event_id: str
    bank_transaction_id: str
    funding_reference: str
    amount: Amount
    organization_id: str
    """Whose reference it was; `unallocated` when nobody's, empty before that is known."""
    processing: Processing


class PostingRow(NamedTuple):
    """A ledger transaction of the date that names a trade."""

    trade_id: str
    number: int
    transaction_id: str
    organization_id: str
    event_id: str
    quote_id: str
    request_id: str
    client_reference: str

    @property
    def occurred_ms(self) -> int:
        """When the event happened that it follows from."""
        return occurred_ms(self.transaction_id)


class Posted(NamedTuple):
    """What a trade's transaction moved on the three accounts that the trade itself names, signed."""

    fiat: Amount | None
    """The partner's leg."""
    fee: Amount | None
    crypto: Amount | None
    """The inventory's leg."""


class OpenHold(NamedTuple):
    """Money that is still held."""

    amount: Amount
    placed_ms: int


class LedgerEvent(NamedTuple):
    """An event as it lies in the ledger's inbox."""

    event_id: str
    type: str
    organization_id: str
    request_id: str
    state: str
    """`applied`, `parked` or `dead`."""
    sequence: int
    """Its place in the stored order, and the number of its transaction; 0 when it is not applied."""
    awaits: str
    why: str
    """Of a dead one: what was wrong with it."""
    occurred_ms: int
    received_ms: int


class LedgerNote(NamedTuple):
    """Something the ledger noticed while it applied an event."""

    trade_id: str
    kind: str
    event_id: str
    organization_id: str
    detail: str
    occurred_ms: int


class PayinRow(NamedTuple):
    """A pay-in of the date as the ledger has it."""

    event: LedgerEvent
    amount: Amount | None
    """What was posted; None where nothing was."""
    transaction_id: str
    allocated: bool
    """Whether a person has told whose it is."""


class TradeGroup(NamedTuple):
    """All that is known of one trade id on the date."""

    trade_id: str
    ended: TradeFact | None
    open: TradeFact | None
    postings: tuple[PostingRow, ...]
    reports: tuple[ReportFact, ...]
    notes: tuple[LedgerNote, ...]


class PayinGroup(NamedTuple):
    """All that is known of one pay-in's event id on the date."""

    event_id: str
    facts: tuple[PayinFact, ...]
    row: PayinRow | None


class LookedUp(NamedTuple):
    """What the ledger knows of some trades besides their postings."""

    posted: dict[int, Posted]
    """By the transaction's number."""
    holds: dict[str, OpenHold]
    """By trade id; only open ones."""
    events: dict[str, LedgerEvent]
    """By event id; those of transitions without a posting."""
