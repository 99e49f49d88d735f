"""The way to webhook-ingest: what became of a trade, asked of whoever settles it."""

from __future__ import annotations

from typing import Final

from gateway.outbound.bounded import WAITING_MAX, Bounded
from poolkit.context import CallContext
from poolkit.errors import DomainError
from poolkit.rpc.convert import from_context
from pools.webhook_ingest.v1 import settlement_status_pb2, settlement_status_pb2_grpc

READ_AGAIN_SECONDS: Final = 0.3
"""What is kept of the caller's time for reading the trade afterwards."""


class SettlementsClient:
    """Fulfils `gateway.app.ports.Settlements`. One call a trade: a slow answer on one must not hold up another's."""

    def __init__(
        self, stub: settlement_status_pb2_grpc.SettlementStatusServiceAsyncStub, *, waiting_max: int = WAITING_MAX
    ) -> None:
        self._stub = stub
        self._polling = Bounded(waiting_max)

    async def has_news(self, context: CallContext, trade_id: str) -> bool:
        """Whether there is something new to read. Silence, for whatever reason, is no news."""
        seconds = context.remaining(READ_AGAIN_SECONDS)
        if not seconds:
            return False
        request = settlement_status_pb2.PollSettlementsRequest()
        request.items.add(context=from_context(context), trade_id=trade_id)
        try:
            with self._polling:
                response = await self._stub.PollSettlements(request, timeout=seconds)
        except DomainError:
            return False
        return [result.outcome for result in response.results] == [settlement_status_pb2.POLL_OUTCOME_NEWS]
