"""Owns a ledger transaction as the event alone decides it: all but its place in the stored order."""

from collections.abc import Sequence
from typing import NamedTuple

from ledger.domain.amounts import text_of
from ledger.domain.chain import Digests, Facts, digests_of
from ledger.domain.events import Event, TradeTerminal
from ledger.domain.identities import transaction_id
from ledger.domain.postings import Posting


class Draft(NamedTuple):
    """A transaction that still lacks its number, its sequence, its link and the balance after it."""

    posting: Posting
    facts: Facts
    amounts: tuple[str, ...]
    """Of the posting's legs, as text."""
    digests: Digests


def drafts_of(event: Event, postings: Sequence[Posting]) -> list[Draft]:
    """The event's transactions in the order of its postings; the same event always gives the same drafts."""
    cause = event.cause
    if isinstance(cause, TradeTerminal):
        trade_id, quote_id, client_reference = cause.trade_id, cause.quote_id, cause.client_reference
    else:
        trade_id = quote_id = client_reference = ""
    drafts = []
    for part, posting in enumerate(postings):
        facts = Facts(
            transaction_id(event.event_id, event.occurred_ms, part),
            event.business_date.isoformat(),
            event.event_id,
            trade_id,
            quote_id,
            event.request_id,
            client_reference,
        )
        amounts = tuple([text_of(units, account.currency) for account, units in posting.legs])
        drafts.append(Draft(posting, facts, amounts, digests_of(posting, amounts, facts)))
    return drafts
