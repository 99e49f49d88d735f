"""Owns putting drafts in order: sequence, link and balance after, and the sums by account, as rows ready to be written.

Everything here follows from the drafts, their order, and the heads and balances they start from; nothing from a clock.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ledger.domain.accounts import PARTNER, partner_account
from ledger.domain.amounts import text_of
from ledger.domain.drafts import Draft
from ledger.domain.events import FAILED, ON_RAMP, RELEASED, SETTLED, Event, TradeTerminal
from ledger.domain.holds import CONSUMED, VOIDED

_NUMBERS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9")


def ending_of(cause: object) -> str:
    """How an event ends the hold of its trade: `consumed`, `voided`, or empty for not at all. Sellers have no hold."""
    if not isinstance(cause, TradeTerminal) or cause.side != ON_RAMP:
        return ""
    if cause.status == SETTLED:
        return CONSUMED
    return VOIDED if cause.status in {FAILED, RELEASED} else ""


class Movement:
    """What a batch does to one account, in minor units."""

    __slots__ = ("account", "currency", "entries", "units")

    def __init__(self, account_id: int, currency: str) -> None:
        self.account = str(account_id)
        """The account's id as text."""
        self.currency = currency
        self.units = 0
        self.entries = 0

    @property
    def amount(self) -> str:
        """The sum as text."""
        return text_of(self.units, self.currency)


class Page:
    """The rows of a batch of events, in the order in which they are added.

    Starts from the locked chain heads (sequence and link by organization) and partner balances (minor units by account
    id); both move on with each transaction.
    """

    def __init__(
        self, account_ids: Mapping[str, int], heads: dict[str, tuple[int, bytes]], balances: dict[int, int]
    ) -> None:
        self.heads = heads
        self._account_ids = account_ids
        self._balances = balances
        self.extended: set[str] = set()
        self.transactions: list[tuple[Any, ...]] = []
        # The columns of the entries, numbers as text already: a batch has thousands, so they are never rows here.
        self.numbers: list[str] = []
        self.legs: list[str] = []
        self.accounts: list[str] = []
        self.amounts: list[str] = []
        self.balances_after: list[str | None] = []
        self.sequences: list[int | None] = []
        self.partners: dict[int, Movement] = {}
        self.systems: dict[int, Movement] = {}
        self.endings: dict[str, tuple[Event, int, str]] = {}
        """By trade id: the event that ends its hold, the partner account, and the state it ends in."""

    def add(self, event: Event, drafts: Iterable[Draft], number: int) -> None:
        """Apply an event: its transactions as `number` and the one after, and the end of its hold."""
        for draft in drafts:
            self._post(event, draft, number)
            number += 1
        cause = event.cause
        ending = ending_of(cause)
        if ending and isinstance(cause, TradeTerminal):
            account_id = self._account_ids[partner_account(event.organization_id, cause.fiat_currency).name]
            if account_id not in self.partners:
                self.partners[account_id] = Movement(account_id, cause.fiat_currency)
            # A second terminal status of one trade is illegal; should it come, the hold ends as the first one says.
            self.endings.setdefault(cause.trade_id, (event, account_id, ending))

    def _post(self, event: Event, draft: Draft, number: int) -> None:
        posting, facts, amounts, digests = draft
        organization_id = posting.organization_id
        sequence, previous = self.heads[organization_id]
        sequence += 1
        link = digests.link(previous)
        self.heads[organization_id] = (sequence, link)
        self.extended.add(organization_id)
        self.transactions.append(
            (
                number,
                facts.transaction_id,
                organization_id,
                sequence,
                posting.reason,
                digests.content,
                link,
                event.business_date,
                facts.event_id,
                facts.request_id,
                facts.trade_id,
                facts.quote_id,
                facts.client_reference,
                event.traceparent,
            )
        )
        number_text = str(number)
        for leg, (account, units), amount in zip(_NUMBERS, posting.legs, amounts, strict=False):
            if not units:
                continue
            account_id = self._account_ids[account.name]
            if account.kind == PARTNER:
                side = self.partners
                self._balances[account_id] += units
                self.balances_after.append(text_of(self._balances[account_id], account.currency))
                self.sequences.append(sequence)
            else:
                side = self.systems
                self.balances_after.append(None)
                self.sequences.append(None)
            movement = side.get(account_id)
            if movement is None:
                movement = side[account_id] = Movement(account_id, account.currency)
            movement.units += units
            movement.entries += 1
            self.numbers.append(number_text)
            self.legs.append(leg)
            self.accounts.append(movement.account)
            self.amounts.append(amount)
