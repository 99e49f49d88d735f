"""What each partner operation takes besides the id in its path: one struct, whichever way the request came in.

The names are the JSON's; over gRPC the messages are turned into the same structs, so one set of rules refuses both.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.app.ports import TradeFilter
from gateway.domain.quote_terms import QuoteTerms
from poolkit.errors import InvalidRequest
from poolkit.money import DIGITS, FIAT

# PostgreSQL has no U+0000 in its texts.
Text = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
Cursor = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=r"^[A-Za-z0-9_=-]*$",
        description="`nextCursor` of the page before this one, in the same list with the same filters.",
    ),
]


def _currency(names: Collection[str], description: str) -> Meta:
    # Only said here: the use case refuses others, in words that name them all.
    return Meta(max_length=16, description=description, extra_json_schema={"enum": sorted(names)})


Moment = Annotated[datetime, Meta(tz=True)]
AnyCurrency = Annotated[str, _currency(DIGITS, "The currency of the account.")]
FiatCurrency = Annotated[str, _currency(FIAT, "The currency to pay in.")]
LIMIT = "How many at most on one page."


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """An operation that takes nothing else."""


class PoolsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools."""

    limit: Annotated[int, Meta(ge=1, le=100, description=LIMIT)] = 100
    cursor: Cursor = ""


class QuoteRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """POST /v1/pools/{id}/quote."""

    side: Annotated[Literal["on_ramp", "off_ramp"], Meta(description="`on_ramp` buys crypto, `off_ramp` sells it.")]
    amount: Annotated[
        str,
        Meta(
            max_length=64,
            description="Greater than zero, with no more digits than `amountCurrency` has; more are refused.",
            extra_json_schema={"pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"},
        ),
    ]
    amount_currency: Annotated[str, _currency(DIGITS, "Which of the pool's two currencies the amount is in.")]
    network: Annotated[Text, Meta(description="One of the pool's `supportedNetworks`.")]
    destination_address: Annotated[
        Text | None, Meta(description="Where the crypto goes: needed for `on_ramp`, refused for `off_ramp`.")
    ] = None
    type: Annotated[
        Literal["firm", "indicative"], Meta(description="`indicative` is a price only, which cannot be accepted.")
    ] = "firm"
    client_reference: Annotated[
        Text | None, Meta(description="Your own id for the order, kept on quote, trade, webhook and ledger entry.")
    ] = None

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

    quote_id: Annotated[Text, Meta(description="An active firm quote of this pool.")]


class LedgerRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools/ledger."""

    currency: AnyCurrency
    limit: Annotated[int, Meta(ge=1, le=200, description=LIMIT)] = 50
    cursor: Cursor = ""


class FundingRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools/funding."""

    currency: FiatCurrency


class TradesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """GET /v1/pools/trades."""

    side: Annotated[Literal["on_ramp", "off_ramp"] | None, Meta(description="Only this side.")] = None
    status: Annotated[
        Literal["reserved", "settled", "failed", "released", "returned"] | None, Meta(description="Only this status.")
    ] = None
    created_after: Annotated[Moment | None, Meta(description="Only those made at this moment or after.")] = None
    created_before: Annotated[Moment | None, Meta(description="Only those made before this moment.")] = None
    limit: Annotated[int, Meta(ge=1, le=100, description=LIMIT)] = 50
    cursor: Cursor = ""

    def matching(self) -> TradeFilter:
        """The same as the trade service is asked for. Raises InvalidRequest for a moment that nobody can keep."""
        return TradeFilter(
            self.side,
            self.status,
            _in_utc(self.created_after, "created_after"),
            _in_utc(self.created_before, "created_before"),
        )


def _in_utc(moment: datetime | None, field: str) -> datetime | None:
    try:
        return moment.astimezone(UTC) if moment is not None else None
    except OverflowError:
        raise InvalidRequest("it lies in no year from 1 to 9999 in UTC.", field=field) from None
