"""The way in for colleagues: `pools.webhook_ingest.v1.SettlementStatusService`."""

import asyncio
from typing import Final

from poolkit.errors import InvalidRequest
from poolkit.ids import is_request_id
from poolkit.rpc.batches import check_size, own_context
from poolkit.rpc.types import Context
from pools.webhook_ingest.v1 import settlement_status_pb2, settlement_status_pb2_grpc
from webhook_ingest.app.poll import PollSettlements
from webhook_ingest.domain.polls import PollOutcome
from webhook_ingest.store.polls import Poll

TRADE_ID_LENGTH_MAX: Final = 64

_OUTCOMES: Final = {
    PollOutcome.NEWS: settlement_status_pb2.POLL_OUTCOME_NEWS,
    PollOutcome.NO_NEWS: settlement_status_pb2.POLL_OUTCOME_NO_NEWS,
    PollOutcome.NO_ANSWER: settlement_status_pb2.POLL_OUTCOME_NO_ANSWER,
    PollOutcome.NOT_ASKED: settlement_status_pb2.POLL_OUTCOME_NOT_ASKED,
}


class SettlementStatusService(settlement_status_pb2_grpc.SettlementStatusServiceServicer):
    """Translates and delegates. Without a provider nobody is asked."""

    def __init__(self, poll: PollSettlements | None, *, pause_seconds: float, mode: str) -> None:
        self._poll = poll
        self._pause_seconds = pause_seconds
        self._mode = mode

    async def PollSettlements(  # noqa: N802 - the RPC's name
        self, request: settlement_status_pb2.PollSettlementsRequest, context: Context
    ) -> settlement_status_pb2.PollSettlementsResponse:
        """Asks about each trade."""
        check_size(request.items)
        outcomes = await asyncio.gather(*(self._outcome(item) for item in request.items))
        return settlement_status_pb2.PollSettlementsResponse(
            results=[settlement_status_pb2.PollSettlementsResult(outcome=_OUTCOMES[outcome]) for outcome in outcomes]
        )

    async def _outcome(self, item: settlement_status_pb2.PollSettlementsItem) -> PollOutcome:
        own = own_context(item.context, self._mode, needs_organization=False)
        # It becomes part of an address.
        fits = len(item.trade_id) <= TRADE_ID_LENGTH_MAX and is_request_id(item.trade_id)
        if not (fits and item.trade_id.startswith("pt_")):
            raise InvalidRequest("it is no id of a trade.", field="trade_id")
        if self._poll is None:
            return PollOutcome.NOT_ASKED
        return await self._poll(Poll(item.trade_id, own.request_id, own.traceparent, self._pause_seconds))
