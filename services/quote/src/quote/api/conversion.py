"""Owns the translation between this service's messages and its own objects, both ways."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from poolkit.context import CallContext
from poolkit.errors import DomainError, InvalidRequest, NotFound
from poolkit.money import format_amount, format_decimal, parse_amount
from poolkit.rpc.batches import ID_CHARACTERS_MAX, is_storable
from poolkit.rpc.convert import from_time, refusal
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from quote.app.create_quotes import PlacedOrder
from quote.app.read_quotes import NamedQuote
from quote.domain.inventory import Inventory
from quote.domain.orders import Order
from quote.domain.pools import Side
from quote.domain.quotes import Quote, Status, UnavailableQuote
from quote.store.consumptions import Attempt
from quote.store.pools import ListedPool

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RATE_DIGITS: Final = 6

_SIDES: Final[Mapping[types_pb2.Side.ValueType, Side]] = {
    types_pb2.SIDE_ON_RAMP: Side.ON_RAMP,
    types_pb2.SIDE_OFF_RAMP: Side.OFF_RAMP,
}
_SIDE_NUMBERS: Final = {side: number for number, side in _SIDES.items()}
_STATUSES: Final[Mapping[Status, types_pb2.QuoteStatus.ValueType]] = {
    Status.ACTIVE: types_pb2.QUOTE_STATUS_ACTIVE,
    Status.CONSUMED: types_pb2.QUOTE_STATUS_CONSUMED,
    Status.REJECTED: types_pb2.QUOTE_STATUS_REJECTED,
    Status.EXPIRED: types_pb2.QUOTE_STATUS_EXPIRED,
}
_TYPES: Final = {True: types_pb2.QUOTE_TYPE_FIRM, False: types_pb2.QUOTE_TYPE_INDICATIVE}


def placed_order(item: quote_pb2.CreateQuotesItem, context: CallContext) -> PlacedOrder:
    """An order as it came. Raises NotFound, InvalidRequest for what could not even be looked up."""
    if not is_storable(item.pool_id):
        raise NotFound("pool")
    if not is_storable(item.tier):
        raise InvalidRequest("it is no tier's name.", field="tier")
    return PlacedOrder(
        context,
        Order(
            pool_id=item.pool_id,
            side=_SIDES.get(item.side),
            amount=item.amount.amount,
            currency=item.amount.currency,
            network=item.network,
            destination_address=item.destination_address,
            client_reference=item.client_reference,
            tier=item.tier,
            firm=item.type != types_pb2.QUOTE_TYPE_INDICATIVE,
        ),
    )


def named_quote(item: quote_pb2.QuoteReference, context: CallContext) -> NamedQuote:
    """A quote named by its organization. Raises NotFound."""
    return NamedQuote(context, _quote_id(item.quote_id))


def attempt(item: quote_pb2.ConsumeQuotesItem, context: CallContext) -> Attempt:
    """A question for one trade id. Raises NotFound, InvalidRequest."""
    return Attempt(
        context=context,
        trade_id=_trade_id(item.trade_id),
        quote_id=_quote_id(item.quote_id),
        pool_id=item.pool_id if is_storable(item.pool_id) else "",
        off_ramp_enabled=item.off_ramp_enabled,
        resume_only=item.resume_only,
    )


def undone_attempt(item: quote_pb2.GiveBackQuotesItem, context: CallContext) -> Attempt:
    """An attempt to undo. Raises NotFound, InvalidRequest."""
    return Attempt(context, _trade_id(item.trade_id), _quote_id(item.quote_id), pool_id="", off_ramp_enabled=False)


def _quote_id(text: str) -> str:
    if not text or not is_storable(text):
        raise NotFound("quote")
    return text


def _trade_id(text: str) -> str:
    if not text or not is_storable(text):
        raise InvalidRequest(f"a trade id has 1 to {ID_CHARACTERS_MAX} characters.", field="trade_id")
    return text


def tell_quote(result: quote_pb2.QuoteResult, answer: Quote | UnavailableQuote | DomainError) -> None:
    """Fills in one result of a batch."""
    if isinstance(answer, Quote):
        _fill_quote(result.quote, answer)
    elif isinstance(answer, UnavailableQuote):
        result.quote.CopyFrom(_unavailable(answer))
    else:
        result.refusal.CopyFrom(refusal(answer))


def _fill_quote(message: types_pb2.Quote, quote: Quote) -> None:
    # Field by field, in the place where the message is sent from: made of parts and copied, it costs three times as
    # much, and a transact waits for it.
    message.quote_id = quote.quote_id
    message.available = True
    message.type = _TYPES[quote.firm]
    message.status = _STATUSES[quote.status]
    message.pool_id = quote.pool_id
    message.side = _SIDE_NUMBERS[quote.side]
    _fill_money(message.fiat, quote.fiat_amount, quote.fiat_currency)
    _fill_money(message.crypto, quote.crypto_amount, quote.crypto_currency)
    message.rate = format_decimal(quote.rate, RATE_DIGITS)
    message.spread_bps = quote.spread_bps
    message.fee_bps = quote.fee_bps
    _fill_money(message.fee, quote.fee_amount, quote.fiat_currency)
    message.network = quote.network
    message.destination_address = quote.destination_address
    message.client_reference = quote.client_reference
    _fill_time(message.create_time, quote.created_at)
    if quote.expires_at is not None:
        _fill_time(message.expire_time, quote.expires_at)


def _fill_money(message: types_pb2.Money, amount: Decimal, currency: str) -> None:
    message.amount = format_amount(amount, currency)
    message.currency = currency


def _fill_time(message: Timestamp, moment: datetime) -> None:
    since = moment - _EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1000


def _unavailable(quote: UnavailableQuote) -> types_pb2.Quote:
    """What was asked for, and no price."""
    order, pool = quote.order, quote.pool
    in_fiat = order.currency == pool.fiat_currency
    asked = format_amount(parse_amount(order.amount, order.currency), order.currency)
    return types_pb2.Quote(
        available=False,
        unavailable_reason=quote.reason.value,
        type=_TYPES[order.firm],
        pool_id=order.pool_id,
        side=_SIDE_NUMBERS[order.side] if order.side is not None else types_pb2.SIDE_UNSPECIFIED,
        fiat=types_pb2.Money(amount=asked if in_fiat else "", currency=pool.fiat_currency),
        crypto=types_pb2.Money(amount="" if in_fiat else asked, currency=pool.crypto_currency),
        network=order.network,
        destination_address=order.destination_address,
        client_reference=order.client_reference,
        create_time=from_time(quote.created_at),
    )


def inventory_message(row: Inventory) -> quote_pb2.Inventory:
    """What lies in a pool, as colleagues see it."""
    total, held, committed, owed = (
        types_pb2.Money(amount=format_amount(amount, row.currency), currency=row.currency)
        for amount in (row.total, row.held, row.committed, row.owed)
    )
    return quote_pb2.Inventory(pool_id=row.pool_id, total=total, held=held, committed=committed, owed=owed)


def pool_message(listed: ListedPool, *, available: bool) -> quote_pb2.Pool:
    """A pool as configured."""
    pool = listed.pool
    return quote_pb2.Pool(
        pool_id=pool.pool_id,
        fiat_currency=pool.fiat_currency,
        crypto_currency=pool.crypto_currency,
        supported_networks=pool.networks,
        sides=[_SIDE_NUMBERS[side] for side in pool.sides],
        order_min=types_pb2.Money(
            amount=format_amount(pool.order_min, pool.fiat_currency), currency=pool.fiat_currency
        ),
        order_max=types_pb2.Money(
            amount=format_amount(pool.order_max, pool.fiat_currency), currency=pool.fiat_currency
        ),
        # A life of less than a whole second is no promise of one.
        quote_ttl_seconds=pool.quote_ttl_ms // 1000,
        tiers=[
            quote_pb2.PoolTier(
                tier=tier.name,
                spread_bps=tier.spread_bps,
                fee_bps=tier.fee_bps,
                active_quotes_max=tier.active_quotes_max,
            )
            for tier in listed.tiers
        ],
        available=available,
    )
