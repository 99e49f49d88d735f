"""The way to the trade service: quotes to accept and trades to read, coalesced into its batch RPCs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from gateway.app.ports import Acceptance, TradeFilter, TradePage
from gateway.outbound.batches import SIZE_MAX, BatchRpc, fill_context
from gateway.outbound.bounded import WAITING_MAX, Bounded
from gateway.outbound.refusals import as_partners_spell, refused
from poolkit.context import CallContext
from poolkit.errors import DomainError, InvalidRequest
from poolkit.rpc.convert import MODES, from_context, from_money, from_time
from pools.trade.v1 import trade_pb2, trade_pb2_grpc
from pools.types.v1 import types_pb2

_SIDES: Final = {
    None: types_pb2.SIDE_UNSPECIFIED,
    "on_ramp": types_pb2.SIDE_ON_RAMP,
    "off_ramp": types_pb2.SIDE_OFF_RAMP,
}
_STATUSES: Final = {
    None: types_pb2.TRADE_STATUS_UNSPECIFIED,
    "reserved": types_pb2.TRADE_STATUS_RESERVED,
    "settled": types_pb2.TRADE_STATUS_SETTLED,
    "failed": types_pb2.TRADE_STATUS_FAILED,
    "released": types_pb2.TRADE_STATUS_RELEASED,
    "returned": types_pb2.TRADE_STATUS_RETURNED,
}


class _Wanted(NamedTuple):
    context: CallContext
    id: str


class TradeClient:
    """Fulfils `gateway.app.ports.Trades`. The records it answers are the trade service's own messages."""

    def __init__(
        self, stub: trade_pb2_grpc.TradeServiceAsyncStub, mode: str, *, waiting_max: int = WAITING_MAX
    ) -> None:
        self._stub = stub
        self._mode = MODES[mode]
        # Two, since a transact passes four processes one after the other: while one batch waits in the last, another is
        # in the first. Measured with 256 in flight: one 1,231 a second, two 1,512, four 1,548 and fewer with 64.
        # Of half the size, so that they become alike: else one takes nearly all, and the next ones are small and dear.
        # With 256 in flight that is 3 to 5 % more.
        self._transact: BatchRpc[Acceptance, tuple[types_pb2.Trade, bool]] = BatchRpc(
            "TransactQuotes",
            self._ask_transact,
            repeatable=True,
            waiting_max=waiting_max,
            size_max=SIZE_MAX // 2,
            in_flight_max=2,
        )
        self._by_quote: BatchRpc[_Wanted, types_pb2.Trade] = BatchRpc(
            "GetTransactions", self._ask_by_quote, repeatable=True, waiting_max=waiting_max
        )
        self._by_id: BatchRpc[_Wanted, types_pb2.Trade] = BatchRpc(
            "GetTrades", self._ask_by_id, repeatable=True, waiting_max=waiting_max
        )
        self._listing = Bounded(waiting_max)

    def transact(self, acceptance: Acceptance) -> Awaitable[tuple[types_pb2.Trade, bool]]:
        """Accepts a quote: the trade as first answered, and whether an earlier request reserved it."""
        return self._transact(acceptance)

    def get_by_quote(self, context: CallContext, quote_id: str) -> Awaitable[types_pb2.Trade]:
        """Reads a trade by its quote."""
        return self._by_quote(_Wanted(context, quote_id))

    def get(self, context: CallContext, trade_id: str) -> Awaitable[types_pb2.Trade]:
        """Reads a trade by its own id."""
        return self._by_id(_Wanted(context, trade_id))

    async def list_page(self, context: CallContext, matching: TradeFilter, *, limit: int, cursor: str) -> TradePage:
        """Reads a page of trades, newest first."""
        request = trade_pb2.ListTradesRequest(
            context=from_context(context),
            page_size=limit,
            page_token=cursor,
            side=_SIDES[matching.side],
            status=_STATUSES[matching.status],
            created_after_time=from_time(matching.created_after) if matching.created_after else None,
            created_before_time=from_time(matching.created_before) if matching.created_before else None,
        )
        try:
            with self._listing:
                response = await self._stub.ListTrades(request, timeout=context.remaining())
        except InvalidRequest as error:
            raise as_partners_spell(error) from error
        return TradePage(response.trades, response.next_page_token)

    @property
    def drains(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What is to be waited for when no more calls come."""
        return self._transact.drain, self._by_quote.drain, self._by_id.drain

    async def _ask_transact(
        self, batch: list[Acceptance], seconds: float
    ) -> list[tuple[types_pb2.Trade, bool] | DomainError]:
        request = trade_pb2.TransactQuotesRequest()
        for acceptance in batch:
            entitlement = acceptance.entitlement
            item = request.items.add(
                idempotency_key=acceptance.idempotency_key,
                quote_id=acceptance.quote_id,
                pool_id=acceptance.pool_id,
                balance_gate_enabled=entitlement.balance_gate_enabled,
                off_ramp_enabled=entitlement.off_ramp_enabled,
            )
            fill_context(item.context, acceptance.context, self._mode)
            if entitlement.notional_caps:
                item.notional_caps.extend([from_money(cap) for cap in entitlement.notional_caps])
            if acceptance.expected_hold is not None:
                expected = item.expected_hold
                expected.amount.amount, expected.amount.currency, expected.client_reference = acceptance.expected_hold
        response = await self._stub.TransactQuotes(request, timeout=seconds)
        return [
            refused(result.refusal) if result.HasField("refusal") else (result.trade, result.replayed)
            for result in response.results
        ]

    async def _ask_by_quote(self, batch: list[_Wanted], seconds: float) -> list[types_pb2.Trade | DomainError]:
        request = trade_pb2.GetTransactionsRequest()
        for wanted in batch:
            fill_context(request.items.add(quote_id=wanted.id).context, wanted.context, self._mode)
        response = await self._stub.GetTransactions(request, timeout=seconds)
        return _trades(response.results)

    async def _ask_by_id(self, batch: list[_Wanted], seconds: float) -> list[types_pb2.Trade | DomainError]:
        request = trade_pb2.GetTradesRequest()
        for wanted in batch:
            fill_context(request.items.add(trade_id=wanted.id).context, wanted.context, self._mode)
        response = await self._stub.GetTrades(request, timeout=seconds)
        return _trades(response.results)


def _trades(results: Sequence[trade_pb2.TradeResult]) -> list[types_pb2.Trade | DomainError]:
    return [refused(result.refusal) if result.HasField("refusal") else result.trade for result in results]
