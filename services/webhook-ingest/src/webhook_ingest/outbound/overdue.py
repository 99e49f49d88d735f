"""Owns the question to the trade service whose report is overdue."""

from __future__ import annotations

from typing import Final

from poolkit.context import CallContext
from poolkit.ids import new_id
from poolkit.rpc.convert import from_context
from poolkit.telemetry.tracing import current_traceparent
from pools.trade.v1 import trade_pb2, trade_pb2_grpc
from webhook_ingest.app.ports import OverdueTrade

PAGE_SIZE: Final = 100


class OverdueTradesClient:
    """Fulfils `webhook_ingest.app.ports.OverdueTrades`."""

    def __init__(self, stub: trade_pb2_grpc.TradeServiceAsyncStub, mode: str) -> None:
        self._stub = stub
        self._mode = mode

    async def list_page(self, *, age_seconds_min: int, token: str) -> tuple[list[OverdueTrade], str]:
        """A hundred at most; a pure read."""
        response = await self._stub.ListOverdueTrades(
            trade_pb2.ListOverdueTradesRequest(
                context=from_context(CallContext(new_id("req"), "", self._mode, current_traceparent())),
                age_seconds_min=age_seconds_min,
                page_size=PAGE_SIZE,
                page_token=token,
            )
        )
        trades = [OverdueTrade(trade.trade_id, trade.organization_id, trade.request_id) for trade in response.trades]
        return trades, response.next_page_token
