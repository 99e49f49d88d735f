"""What each partner operation takes besides the id in its path: one struct, whichever way the request came in.

The names are the JSON's; over gRPC the messages are turned into the same structs, so one set of rules refuses both.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.app.ports import TradeFilter
from gateway.domain.quote_terms import QuoteTerms

# PostgreSQL has no U+0000 in its texts.
Text = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str, Meta(max_length=512, pattern=r"^[A-Za-z0-9_=-]*$")]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """An operation that takes nothing else."""


class QuoteRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """POST /v1/pools/{id}/quote."""

    side: Literal["on_ramp", "off_ramp"]
    amount: Annotated[str, Meta(max_length=64)]
    amount_currency: Annotated[str, Meta(max_length=16)]
    network: Text
    destination_address: Text | None = None
    type: Literal["firm", "indicative"] = "firm"
    client_reference: Text | None = None

    def terms(self) -> QuoteTerms:
        """The same as the domain knows it."""
        return QuoteTerms(
            self.side,
            self.amount,
            self.amount_currency,
            self.network,
            self.destination_address or "",
            self.type,
            self.client_reference or "",
        )


class TransactRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """POST /v1/pools/{id}/transact."""

    quote_id: Text


class LedgerRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools/ledger."""

    currency: Annotated[str, Meta(max_length=16)]
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Cursor = ""


class FundingRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools/funding."""

    currency: Annotated[str, Meta(max_length=16)]


class TradesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools/trades."""

    side: Literal["on_ramp", "off_ramp"] | None = None
    status: Literal["reserved", "settled", "failed", "released", "returned"] | None = None
    created_after: Annotated[datetime, Meta(tz=True)] | None = None
    created_before: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: Cursor = ""

    def matching(self) -> TradeFilter:
        """The same as the trade service is asked for."""
        return TradeFilter(self.side, self.status, self.created_after, self.created_before)
