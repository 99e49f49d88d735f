"""Owns a batch of events before it meets the database: each once, drafted, with what has to be locked for it."""

import asyncio
from collections.abc import Iterable
from typing import Final

from ledger.domain.accounts import PARTNER, Account, partner_account
from ledger.domain.drafts import Draft, drafts_of
from ledger.domain.events import Event, TradeTerminal
from ledger.domain.pages import ending_of
from ledger.domain.postings import Posting, postings_of
from poolkit.errors import EventConflict

TURN_EVENTS: Final = 64
"""After so many events others get their turn: a millisecond, where a whole batch would delay every hold by ten."""


class Batch:
    """Events by id in the order they came, what each posts, and the accounts and chains that this moves."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events: dict[str, Event] = {}
        self.accounts: dict[str, Account] = {}
        self.organization_ids: set[str] = set()
        self._postings: dict[str, tuple[Posting, ...]] = {}
        self._drafts: dict[str, list[Draft]] = {}
        for event in events:
            earlier = self.events.setdefault(event.event_id, event)
            if earlier is event:
                self.cover(event)
            elif earlier.payload != event.payload:
                raise EventConflict(event_id=event.event_id)

    def cover(self, event: Event) -> None:
        """Have all that the event moves locked, whether it came with this batch or waited for it."""
        postings = self._postings[event.event_id] = postings_of(event)
        organization_ids, accounts = self.organization_ids, self.accounts
        # Also for an event that posts nothing: whatever touches an organization's holds takes its turn.
        organization_ids.add(event.organization_id)
        for posting in postings:
            organization_ids.add(posting.organization_id)
            for account, _ in posting.legs:
                accounts[account.name] = account
        cause = event.cause
        if not postings and isinstance(cause, TradeTerminal) and ending_of(cause):
            account = partner_account(event.organization_id, cause.fiat_currency)
            accounts[account.name] = account

    def covers(self, event: Event) -> bool:
        """Whether all that the event moves is locked with this batch."""
        return event.event_id in self._postings

    async def draft(self) -> None:
        """Hash what the events of the batch post. Needs nothing from the database, so it may run while that works."""
        for count, (event_id, event) in enumerate(self.events.items()):
            if count % TURN_EVENTS == 0:
                await asyncio.sleep(0)
            self.drafts(event_id, event)

    def drafts(self, event_id: str, event: Event) -> list[Draft]:
        """What a covered event posts, hashed."""
        drafts = self._drafts.get(event_id)
        if drafts is None:
            drafts = self._drafts[event_id] = drafts_of(event, self._postings[event_id])
        return drafts

    def partner_accounts(self) -> list[Account]:
        """The accounts whose balance decides what is written, so that they are locked first."""
        return [account for account in self.accounts.values() if account.kind == PARTNER]
