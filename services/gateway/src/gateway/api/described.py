"""What the reference says of each partner operation: words, the answer's shape, and the refusals of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.api import shapes
from poolkit.errors import (
    DeadlineExceeded,
    DomainError,
    HeadersTooLarge,
    IdempotencyConflict,
    IdempotencyInProgress,
    IdempotencyKeyRequired,
    InsufficientBalance,
    Internal,
    InvalidRequest,
    KeyModeMismatch,
    KycNotApproved,
    NotFound,
    OffRampNotEnabled,
    Overloaded,
    PoolAccessSuspended,
    PoolNotAllowed,
    PoolsNotEnabled,
    QuoteConsumed,
    QuoteExpired,
    QuoteRejected,
    RateLimited,
    RequestTooLarge,
    SecretKeyInBrowser,
    SecretKeyRequired,
    TooManyActiveQuotes,
    Unauthorized,
    Unavailable,
    VelocityExceeded,
)

ANY_OPERATION: Final = (
    Unauthorized,
    KeyModeMismatch,
    SecretKeyInBrowser,
    SecretKeyRequired,
    PoolsNotEnabled,
    PoolAccessSuspended,
    KycNotApproved,
    RateLimited,
    RequestTooLarge,
    HeadersTooLarge,
    InvalidRequest,
    Overloaded,
    Unavailable,
    DeadlineExceeded,
    Internal,
)
"""What every operation may answer: the gates in their order, then the house itself."""


@dataclass(frozen=True)
class Described:
    """One operation for its readers."""

    tag: str
    """The group it is listed under."""
    summary: str
    description: str
    answer: type[msgspec.Struct]
    own_refusals: tuple[type[DomainError], ...] = ()

    @property
    def refusals(self) -> tuple[type[DomainError], ...]:
        """Every reason it may answer."""
        return (*ANY_OPERATION, *self.own_refusals)


TRANSACT: Final = Described(
    "Trades",
    "Accept a firm quote",
    "Accepts the quote once, however often it is sent. The same `Idempotency-Key` with the same body answers the first "
    "success with `Idempotent-Replayed: true`; so does another key on the same quote. A refusal binds nothing: the "
    "same key may try again. After 503, or no answer at all, send the same request with the same key.",
    shapes.Trade,
    (
        PoolNotAllowed,
        NotFound,
        IdempotencyKeyRequired,
        QuoteExpired,
        QuoteRejected,
        IdempotencyInProgress,
        IdempotencyConflict,
        InsufficientBalance,
        VelocityExceeded,
        OffRampNotEnabled,
    ),
)
CREATE_QUOTE: Final = Described(
    "Quotes",
    "Ask for a price",
    "A firm quote is stored, locks every term, holds the pool's inventory and can be accepted once until `expiresAt`. "
    "An indicative quote is a price and nothing else. Where no price can be given now the answer is still 200, with "
    "`available` false and `unavailableReason`. An amount has at most its currency's digits and lies within the pool's "
    "`minOrder` and `maxOrder`.",
    shapes.Quote,
    (PoolNotAllowed, NotFound, TooManyActiveQuotes, OffRampNotEnabled),
)
LIST_POOLS: Final = Described(
    "Pools",
    "List your pools",
    "The pools that your organization may use. Publishable keys (`pk_…`) may call it too, from browsers of any origin.",
    shapes.Pools,
)
GET_CAPABILITIES: Final = Described(
    "Pools",
    "Read what a pool offers",
    "Networks, sides, fees and limits of a pool as they are for your organization. A pure read.",
    shapes.Capabilities,
    (PoolNotAllowed, NotFound),
)
GET_BALANCE: Final = Described(
    "Pools",
    "Read your balance for a pool",
    "What your organization has in the pool's fiat currency: what is posted less what is held. A pure read.",
    shapes.Balance,
    (PoolNotAllowed, NotFound),
)
GET_FUNDING: Final = Described(
    "Money",
    "Read how to pay in",
    "Where to send money and with which reference. The reference stays the same for good.",
    shapes.Funding,
)
GET_TRANSACTION: Final = Described(
    "Trades",
    "Read a trade by its quote",
    "Where a trade stands, asking the settlement provider when that may bring news. 404 before the quote was accepted.",
    shapes.Trade,
    (NotFound, IdempotencyInProgress),
)
GET_QUOTE: Final = Described(
    "Quotes", "Read a quote", "A firm quote with its status now. A pure read.", shapes.Quote, (NotFound,)
)
REJECT_QUOTE: Final = Described(
    "Quotes",
    "Give a quote back",
    "Ends an active firm quote and frees what it held. A second time is 409 `quote_rejected`.",
    shapes.Quote,
    (NotFound, QuoteRejected, QuoteConsumed, QuoteExpired),
)
GET_TRADE: Final = Described("Trades", "Read a trade", "A trade by its own id. A pure read.", shapes.Trade, (NotFound,))
LIST_TRADES: Final = Described(
    "Trades",
    "List your trades",
    "Newest first. Pages are stable while new trades arrive: follow `nextCursor` while `hasMore`.",
    shapes.Trades,
)
LIST_LEDGER_ENTRIES: Final = Described(
    "Money",
    "List your ledger",
    "Every entry of your account in one currency, newest first, with what is available now. A currency in which "
    "nothing was posted yet has `0.00` and no entries.",
    shapes.Ledger,
)
