"""What the quotes made here lately will hold, so that accepting one needs not wait for its terms.

A memory and no source: trade compares it with the quote's own terms, and does without it where another replica made
the quote or this one has forgotten it.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.domain.records import QuoteRecord

REMEMBERED_MAX: Final = 10_000
_ON_RAMP: Final = 1
_FIRM: Final = 1


class ExpectedHold(NamedTuple):
    """What accepting a quote will hold of the partner's balance."""

    amount: str
    currency: str
    client_reference: str


class _Remembered(NamedTuple):
    organization_id: str
    pool_id: str
    expires: int
    hold: ExpectedHold


class RecentQuotes:
    """Bounded in number: the oldest goes first."""

    def __init__(self, *, remembered_max: int = REMEMBERED_MAX, clock: Callable[[], float] = time.time) -> None:
        self._remembered_max = remembered_max
        self._clock = clock
        self._quotes: dict[str, _Remembered] = {}

    def remember(self, organization_id: str, quote: QuoteRecord) -> None:
        """Keeps a quote that can be accepted and holds money then."""
        if not (quote.available and quote.quote_id and quote.type == _FIRM and quote.side == _ON_RAMP):
            return
        if len(self._quotes) >= self._remembered_max:
            del self._quotes[next(iter(self._quotes))]
        hold = ExpectedHold(quote.fiat.amount, quote.fiat.currency, quote.client_reference)
        self._quotes[quote.quote_id] = _Remembered(organization_id, quote.pool_id, quote.expire_time.seconds, hold)

    def forget(self, quote_id: str) -> None:
        """Drops a quote that cannot be accepted any more."""
        self._quotes.pop(quote_id, None)

    def expected_hold(self, organization_id: str, pool_id: str, quote_id: str) -> ExpectedHold | None:
        """What the quote will hold; None where it is not known, or not to be accepted by this caller here and now."""
        known = self._quotes.get(quote_id)
        if known is None or (known.organization_id, known.pool_id) != (organization_id, pool_id):
            return None
        return known.hold if self._clock() < known.expires else None
