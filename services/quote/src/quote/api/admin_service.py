"""The way in for operations and the treasury: `pools.quote.v1.QuoteAdminService`."""

from decimal import Decimal
from functools import partial
from typing import Final

from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import DomainError, InvalidRequest
from poolkit.money import CRYPTO, FIAT, parse_amount, parse_decimal, product
from poolkit.rpc.batches import ID_CHARACTERS_MAX, answer_items, is_storable
from poolkit.rpc.convert import refusal, to_time
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from quote.api.conversion import RATE_DIGITS, inventory_message
from quote.api.pages import PAGE_SIZE_MAX
from quote.app.list_inventory import list_inventory, page_token
from quote.app.move_treasury import EncodeMovement, move_treasury
from quote.app.publish_rates import PublishedRate, publish_rates
from quote.store.treasury import Movement

ITEMS_MAX: Final = 100
RATE_MAX: Final = Decimal(10**12)


class QuoteAdminService(quote_pb2_grpc.QuoteAdminServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, mode: str, encode: EncodeMovement) -> None:
        self._database = database
        self._mode = mode
        self._encode = encode

    async def PublishRates(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.PublishRatesRequest, context: Context
    ) -> quote_pb2.PublishRatesResponse:
        """Publishes rates."""
        if not 1 <= len(request.rates) <= ITEMS_MAX:
            raise InvalidRequest(f"name 1 to {ITEMS_MAX} rates, not {len(request.rates)}.", field="rates")
        accepted = await publish_rates(
            self._database, [_rate(rate) for rate in request.rates], traceparent=current_traceparent()
        )
        return quote_pb2.PublishRatesResponse(accepted_count=accepted)

    async def MoveTreasury(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.MoveTreasuryRequest, context: Context
    ) -> quote_pb2.MoveTreasuryResponse:
        """Tops pools up and draws them down."""
        for movement in request.movements:
            movement.context.organization_id = "treasury"
        answers = await answer_items(
            "quote.MoveTreasury",
            request.movements,
            self._mode,
            read=_movement,
            work=partial(move_treasury, self._database, encode=self._encode),
            items_max=ITEMS_MAX,
        )
        return quote_pb2.MoveTreasuryResponse(
            results=[
                quote_pb2.MoveTreasuryResult(refusal=refusal(answer))
                if isinstance(answer, DomainError)
                else quote_pb2.MoveTreasuryResult(inventory=inventory_message(answer))
                for answer in answers
            ]
        )

    async def ListInventory(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.ListInventoryRequest, context: Context
    ) -> quote_pb2.ListInventoryResponse:
        """Lists inventory, by pool and currency."""
        size = page_size(request.page_size, default=PAGE_SIZE_MAX, largest=PAGE_SIZE_MAX)
        rows = await list_inventory(self._database, token=request.page_token, limit=size)
        return quote_pb2.ListInventoryResponse(
            inventory=map(inventory_message, rows), next_page_token=page_token(rows, limit=size)
        )


def _rate(proto: quote_pb2.Rate) -> PublishedRate:
    rate = parse_decimal(proto.rate, field="rate")
    whole = product(rate, Decimal(10**RATE_DIGITS))
    if not 0 < rate < RATE_MAX or whole != whole.to_integral_value():
        raise InvalidRequest(
            f"it must be greater than zero, less than 10^12, with at most {RATE_DIGITS} digits after the point.",
            field="rate",
        )
    if not proto.HasField("as_of_time"):
        raise InvalidRequest("a rate says when it was taken.", field="as_of_time")
    if not proto.pool_id or not is_storable(proto.pool_id):
        raise InvalidRequest("it is no pool's id.", field="pool_id")
    return PublishedRate(proto.pool_id, rate, to_time(proto.as_of_time))


def _movement(proto: quote_pb2.TreasuryMovement, context: CallContext) -> Movement:
    if not proto.movement_id or not is_storable(proto.movement_id):
        raise InvalidRequest(f"it must have 1 to {ID_CHARACTERS_MAX} characters.", field="movement_id")
    if not is_storable(proto.pool_id):
        raise InvalidRequest("it is no pool's id.", field="pool_id")
    currency = proto.amount.currency
    if currency not in FIAT | CRYPTO:
        raise InvalidRequest("it is not a currency; name one of the pool's two.", field="amount.currency")
    return Movement(context, proto.movement_id, proto.pool_id, currency, _signed_amount(proto.amount.amount, currency))


def _signed_amount(text: str, currency: str) -> Decimal:
    amount = parse_amount(text.removeprefix("-"), currency)
    return -amount if text.startswith("-") else amount
