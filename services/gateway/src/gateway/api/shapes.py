"""The shapes of what partners are answered and told, field by field, for the reference alone.

Views write the same keys by hand, in the domain, which knows no framework; a test holds both against each other.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from poolkit.errors import CATALOGUE, QUOTE_UNAVAILABLE_REASONS, TYPES


def _one_of(names: list[str | None], description: str) -> Meta:
    return Meta(description=description, extra_json_schema={"enum": names})


Amount: TypeAlias = Annotated[
    str, Meta(description="A decimal string with the currency's digits; never a float.", pattern=r"^-?\d+(\.\d+)?$")
]
Moment: TypeAlias = Annotated[str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})]
BasisPoints: TypeAlias = Annotated[int, Meta(description="Basis points: 100 are one percent.", ge=0)]
Side: TypeAlias = Literal["on_ramp", "off_ramp"]
Fiat: TypeAlias = Annotated[str, Meta(description="ISO 4217.", examples=["EUR"])]
Crypto: TypeAlias = Annotated[str, Meta(description="The asset's code.", examples=["USDT"])]
Pair: TypeAlias = Annotated[str, Meta(description="fiat/crypto.", examples=["EUR/USDT"])]
PoolId: TypeAlias = Annotated[str, Meta(description="The pool.", examples=["EUR-USDT"])]
QuoteId: TypeAlias = Annotated[str, Meta(description="`pq_…`; in test mode `pq_test_…`.")]
TransactId: TypeAlias = Annotated[str, Meta(description="`pt_…`; in test mode `pt_test_…`.")]
ClientReference: TypeAlias = Annotated[str, Meta(description="Your own id for the order, as you gave it.")]
Tier: TypeAlias = Annotated[str, Meta(description="Your tier.", examples=["standard"])]
HasMore: TypeAlias = Annotated[bool, Meta(description="Whether there are older ones.")]
NextCursor: TypeAlias = Annotated[str, Meta(description="Send it as `cursor` for the next page.")]


class Pool(Struct, rename="camel"):
    """A pool that your organization may use."""

    id: PoolId
    pair: Pair
    fiat_currency: Fiat
    crypto_currency: Crypto
    available: Annotated[bool, Meta(description="Whether a quote could be given now.")]


class Pools(Struct, rename="camel"):
    """A page of the pools that your organization may use, by id."""

    pools: list[Pool]
    has_more: HasMore
    next_cursor: NextCursor | None


class Capabilities(Struct, rename="camel"):
    """What a pool offers your organization."""

    pool_id: PoolId
    pair: Pair
    fiat_currency: Fiat
    crypto_currency: Crypto
    supported_networks: Annotated[list[str], Meta(description="Networks the crypto moves on.", examples=[["tron"]])]
    sides: Annotated[list[Side], Meta(description="`off_ramp` only where it is enabled for you.")]
    tier: Tier
    draw_fee_bps: Annotated[BasisPoints | None, Meta(description="The fee; null where your tier has no price here.")]
    spread_cap_bps: Annotated[BasisPoints | None, Meta(description="The most the spread may be.")]
    min_order: Annotated[Amount, Meta(description="The smallest order, in fiat.")]
    max_order: Annotated[Amount, Meta(description="The largest order, in fiat.")]
    quote_ttl_seconds: Annotated[int, Meta(description="How long a firm quote lives.", ge=0)]


class Balance(Struct, rename="camel"):
    """What your organization has to trade with in a pool."""

    tier: Tier
    allowed_pools: list[PoolId]
    available: Annotated[bool, Meta(description="Whether the pool could give a quote now.")]
    currency: Fiat
    balance: Annotated[Amount | None, Meta(description="Posted less held; null where your balance is not checked.")]


class Funding(Struct, rename="camel"):
    """How to pay in."""

    currency: Fiat
    iban: Annotated[str | None, Meta(description="The account to pay in to, where one is published.")]
    reference: Annotated[str, Meta(description="The purpose of the payment: it says whose money it is.")]
    instructions: Annotated[str, Meta(description="The same in words.")]


class Quote(Struct, rename="camel"):
    """A price. Everything that was not priced is null where `available` is false."""

    available: Annotated[bool, Meta(description="False where no price can be given now, which is not an error.")]
    unavailable_reason: Annotated[str | None, _one_of([*QUOTE_UNAVAILABLE_REASONS, None], "Why no price can be given.")]
    quote_id: Annotated[QuoteId | None, Meta(description="Null for an indicative quote, which is not stored.")]
    type: Literal["firm", "indicative"]
    status: Annotated[
        Literal["active", "consumed", "rejected", "expired"] | None, Meta(description="Null where nothing is stored.")
    ]
    pool_id: PoolId
    pair: Pair | None
    side: Side
    fiat_currency: Fiat | None
    crypto_currency: Crypto | None
    fiat_amount: Amount | None
    crypto_amount: Amount | None
    rate: Annotated[Amount | None, Meta(description="Crypto for one unit of fiat, before the spread.")]
    spread_bps: BasisPoints | None
    fee_bps: BasisPoints | None
    fee_amount: Annotated[Amount | None, Meta(description="In fiat, contained in `fiatAmount`.")]
    network: str | None
    destination_address: Annotated[str | None, Meta(description="Where the crypto goes; null for off-ramp.")]
    client_reference: ClientReference | None
    created_at: Moment | None
    expires_at: Moment | None


class Trade(Struct, rename="camel"):
    """A trade, in the one shape that answers, lists and webhooks share."""

    transact_id: TransactId
    quote_id: QuoteId
    pool_id: PoolId
    side: Side
    status: Annotated[
        Literal["reserved", "settled", "failed", "released", "returned"],
        Meta(description="`reserved` becomes `settled`, `failed` or `released`; `settled` may become `returned`."),
    ]
    fiat_currency: Fiat
    fiat_amount: Amount
    crypto_currency: Crypto
    crypto_amount: Amount
    rate: Amount
    spread_bps: BasisPoints
    fee_bps: BasisPoints
    fee_amount: Amount
    network: str
    destination_address: Annotated[str | None, Meta(description="Where the crypto goes; null for off-ramp.")]
    deposit_address: Annotated[str | None, Meta(description="Where you send the crypto; null for on-ramp.")]
    network_transaction_id: Annotated[str | None, Meta(description="Null until settled.")]
    client_reference: ClientReference | None
    request_id: Annotated[str, Meta(description="The request that reserved it.")]
    reconciliation_state: Literal["open", "matched", "exception"]
    created_at: Moment
    updated_at: Moment
    terminal_at: Annotated[Moment | None, Meta(description="Null while reserved.")]


class Trades(Struct, rename="camel"):
    """A page of trades, newest first."""

    trades: list[Trade]
    has_more: HasMore
    next_cursor: NextCursor | None


class LedgerEntry(Struct, rename="camel"):
    """One line of your ledger."""

    id: Annotated[str, Meta(description="`le_…`")]
    delta: Annotated[Amount, Meta(description="What it changes; negative for a debit.")]
    reason: Literal["payin_credit", "buy_debit", "buy_refund", "sell_credit", "sell_reversal"]
    ref: Annotated[str, Meta(description="The ledger transaction it is part of, `ledger_…`.")]
    balance_after: Amount
    created_at: Moment
    transact_id: Annotated[TransactId | None, Meta(description="Null for a pay-in.")]
    client_reference: ClientReference | None


class Ledger(Struct, rename="camel"):
    """A page of your ledger in one currency, newest first, with the balance now."""

    currency: str
    available: Annotated[Amount, Meta(description="Posted less held.")]
    entries: list[LedgerEntry]
    has_more: HasMore
    next_cursor: NextCursor | None


class Error(Struct, rename={"status_code": "statusCode"}):
    """Why a request was refused. Branch on `code`; expect codes that you do not know yet."""

    type: Annotated[str, _one_of([*sorted(TYPES)], "What kind of failure it is.")]
    code: Annotated[str, Meta(description="The reason, stable.", examples=list(CATALOGUE)[:3])]
    message: Annotated[str, Meta(description="What happened, why, and what to do; for people.")]
    request_id: Annotated[str, Meta(description="As in `X-Request-Id`; support finds everything by it.")]
    doc_url: Annotated[
        str, Meta(description="Where this reason is explained.", extra_json_schema={"format": "uri-reference"})
    ]
    status_code: Annotated[int, Meta(description="The HTTP status once more.")]


class Webhook(Struct, rename="camel"):
    """What is posted to your endpoints when a trade ends."""

    event_id: Annotated[str, Meta(description="The same however often it is sent: take each once.")]
    type: Literal["pool.transaction.settled", "pool.transaction.failed", "pool.transaction.released"]
    created_at: Annotated[Moment, Meta(description="When the trade ended.")]
    data: Annotated[Trade, Meta(description="The trade as it was then.")]
