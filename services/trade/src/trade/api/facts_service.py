"""The way in for the daily close: `pools.trade.v1.TradeFactsService`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from operator import attrgetter
from typing import TypeVar

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.rpc.batches import own_context
from poolkit.rpc.convert import to_time
from poolkit.rpc.facts import behind, business_date, page_facts, pages
from poolkit.rpc.types import Context
from pools.trade.v1 import trade_facts_pb2, trade_facts_pb2_grpc
from trade.store import facts
from trade.store.facts import TradeFact

Message = TypeVar("Message", trade_facts_pb2.StreamTradeFactsResponse, trade_facts_pb2.StreamOpenTradesResponse)
AddFacts = Callable[
    [trade_facts_pb2.StreamTradeFactsResponse | trade_facts_pb2.StreamOpenTradesResponse, Iterable[TradeFact]], None
]

_key = attrgetter("trade_id")


class TradeFactsService(trade_facts_pb2_grpc.TradeFactsServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, add_facts: AddFacts, mode: str) -> None:
        self._database = database
        self._add_facts = add_facts
        self._mode = mode

    async def StreamTradeFacts(  # noqa: N802 - the RPC's name
        self, request: trade_facts_pb2.StreamTradeFactsRequest, context: Context
    ) -> AsyncIterator[trade_facts_pb2.StreamTradeFactsResponse]:
        """Trades that ended on a date, by trade id."""
        own_context(request.context, self._mode, needs_organization=False)
        until = to_time(request.until_time) if request.HasField("until_time") else facts.LAST_MOMENT
        asked_date = business_date(request.business_date)

        async def read(after: str, limit: int) -> list[TradeFact]:
            return await facts.list_ended(self._database, asked_date, until=until, after=after, limit=limit)

        after = behind(request.after_trade_id, field="after_trade_id")
        async for page in pages(read, _key, after=after, size=page_facts(request.page_size)):
            yield self._filled(trade_facts_pb2.StreamTradeFactsResponse(), page)

    async def StreamOpenTrades(  # noqa: N802 - the RPC's name
        self, request: trade_facts_pb2.StreamOpenTradesRequest, context: Context
    ) -> AsyncIterator[trade_facts_pb2.StreamOpenTradesResponse]:
        """Trades that wait still, by trade id."""
        own_context(request.context, self._mode, needs_organization=False)
        if not request.HasField("reserved_before_time"):
            raise InvalidRequest("it is missing; say since when.", field="reserved_before_time")
        before = to_time(request.reserved_before_time)

        async def read(after: str, limit: int) -> list[TradeFact]:
            return await facts.list_open(self._database, reserved_before=before, after=after, limit=limit)

        after = behind(request.after_trade_id, field="after_trade_id")
        async for page in pages(read, _key, after=after, size=page_facts(request.page_size)):
            yield self._filled(trade_facts_pb2.StreamOpenTradesResponse(), page)

    def _filled(self, message: Message, facts: Iterable[TradeFact]) -> Message:
        self._add_facts(message, facts)
        return message
