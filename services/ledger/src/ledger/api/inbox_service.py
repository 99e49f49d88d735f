"""The way in for on-call: `pools.ledger.v1.InboxService`, which shows what waits for another event."""

from collections.abc import Callable
from typing import Final

from ledger.api.decode import Received
from ledger.domain.events import Event, TradeTerminal
from ledger.store.parked import ParkedEvent, list_parked
from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.rpc.convert import from_time
from poolkit.rpc.types import Context
from pools.ledger.v1 import inbox_pb2, inbox_pb2_grpc

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1000


class InboxService(inbox_pb2_grpc.InboxServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, decode: Callable[[Received], Event]) -> None:
        self._database = database
        self._decode = decode

    async def ListParkedEvents(  # noqa: N802 - the RPC's name
        self, request: inbox_pb2.ListParkedEventsRequest, context: Context
    ) -> inbox_pb2.ListParkedEventsResponse:
        """Lists what waits, by event id."""
        if not 0 <= request.page_size <= PAGE_SIZE_MAX:
            raise InvalidRequest(f"it must be 1 to {PAGE_SIZE_MAX}.", field="page_size")
        if "\x00" in request.page_token:
            raise InvalidRequest("it is not a token of an earlier page.", field="page_token")
        size = request.page_size or PAGE_SIZE
        found = await list_parked(self._database, after=request.page_token, limit=size + 1)
        shown = found[:size]
        return inbox_pb2.ListParkedEventsResponse(
            events=[self._parked(each) for each in shown],
            next_page_token=shown[-1].stored.event_id if len(found) > size else "",
        )

    def _parked(self, parked: ParkedEvent) -> inbox_pb2.ParkedEvent:
        stored = parked.stored
        # It was read when it came, or it would not be parked.
        cause = self._decode(stored).cause
        trade = cause if isinstance(cause, TradeTerminal) else None
        return inbox_pb2.ParkedEvent(
            event_id=stored.event_id,
            type=stored.type,
            organization_id=parked.organization_id,
            request_id=stored.request_id,
            awaited_event_id=parked.awaits,
            trade_id=trade.trade_id if trade else "",
            missing_number=trade.number - 1 if trade else 0,
            receive_time=from_time(parked.received_at),
            topic=stored.topic,
            partition=stored.partition,
            offset=stored.offset,
        )
