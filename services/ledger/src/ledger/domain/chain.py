"""Owns what makes the ledger tamper-evident: how a transaction is hashed, and how a link follows from the one before.

Everything hashed is UTF-8 text with lines ended by "\\n" between them (none at the end), amounts with exactly their
currency's minor digits, and SHA-256 throughout; `‖` joins the 32 bytes of digests:

    partner = SHA-256 of   0pools-ledger-partner-1
                           <transaction id>
                           <organization id>
                           <business date, YYYY-MM-DD>
                           <reason>
                           <event id>
                           <trade id, or empty>
                           <quote id, or empty>
                           <request id>
                           <number of the partner's legs>
                           <entry id> <currency> <amount>          one line for each
                           <client reference, or empty>            last, since it is free text
    others  = SHA-256 of   0pools-ledger-others-1
                           <transaction id>
                           <entry id> <account name> <amount>      one line for each other leg, in order of ids
    content = SHA-256 of   partner ‖ others
    link    = SHA-256 of   previous link ‖ partner ‖ others
    first previous link = SHA-256 of "0pools-ledger-chain-1\\n<organization id>"

`others` tells a partner nothing, yet binds us to the legs it stands for: with it and its own entries a partner can
recompute every link. Sequence and balance need no place in the hash: the order is the chain's, and a balance is the sum
of the deltas before it. Source: contract section 8.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from ledger.domain.accounts import PARTNER
from ledger.domain.identities import entry_id
from ledger.domain.postings import Posting

_PARTNER_HEAD: Final = "0pools-ledger-partner-1"
_OTHERS_HEAD: Final = "0pools-ledger-others-1"
_CHAIN_HEAD: Final = "0pools-ledger-chain-1"


class Facts(NamedTuple):
    """What a transaction says besides its legs. The business date is ISO 8601 text."""

    transaction_id: str
    business_date: str
    event_id: str
    trade_id: str
    quote_id: str
    request_id: str
    client_reference: str


class Digests(NamedTuple):
    """The two halves of a transaction's content."""

    partner: bytes
    others: bytes

    @property
    def content(self) -> bytes:
        """The hash of all the transaction says: derived from the event alone."""
        return sha256(self.partner + self.others).digest()

    def link(self, previous: bytes) -> bytes:
        """The chain's next link."""
        return sha256(previous + self.partner + self.others).digest()


def first_link(organization_id: str) -> bytes:
    """What the first transaction of an organization's chain follows."""
    return sha256(f"{_CHAIN_HEAD}\n{organization_id}".encode()).digest()


def digests_of(posting: Posting, amounts: Sequence[str], facts: Facts) -> Digests:
    """Hash a posting, the amounts of its legs as text, and what is said of it."""
    transaction_id = facts.transaction_id
    entry = entry_id(transaction_id, "")
    own = "0"
    others = f"{_OTHERS_HEAD}\n{transaction_id}"
    for number, (account, units) in enumerate(posting.legs, 1):
        if account.kind == PARTNER:
            # One account in one currency: a posting has at most one leg that is the partner's.
            own = f"1\n{entry}{number} {account.currency} {amounts[number - 1]}"
        elif units:
            others += f"\n{entry}{number} {account.name} {amounts[number - 1]}"
    partner = (
        f"{_PARTNER_HEAD}\n{transaction_id}\n{posting.organization_id}\n{facts.business_date}\n{posting.reason}\n"
        f"{facts.event_id}\n{facts.trade_id}\n{facts.quote_id}\n{facts.request_id}\n{own}\n{facts.client_reference}"
    )
    return Digests(sha256(partner.encode()).digest(), sha256(others.encode()).digest())
