"""The way in for events: terminal events of trades, which end what their quotes had committed."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from google.protobuf.message import DecodeError

from poolkit.database import Database
from poolkit.inbox import PoisonEvent, ReceivedEvent
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2
from quote.app.apply_terminal_events import InapplicableEventError, apply_terminal_events
from quote.domain.inventory import Ending
from quote.store.terminal_events import TerminalEvent

_ENDINGS: Final[Mapping[types_pb2.TradeStatus.ValueType, Ending]] = {
    types_pb2.TRADE_STATUS_SETTLED: Ending.SETTLED,
    types_pb2.TRADE_STATUS_FAILED: Ending.FAILED,
    types_pb2.TRADE_STATUS_RELEASED: Ending.RELEASED,
    types_pb2.TRADE_STATUS_RETURNED: Ending.RETURNED,
}


class TerminalConsumer:
    """Handles batches of `pools.trade.terminal.v1`; give it to an EventConsumer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, received: list[ReceivedEvent]) -> None:
        """One transaction for the whole batch. Raises PoisonEvent for what can never be applied."""
        try:
            await apply_terminal_events(self._database, [_read(event) for event in received])
        except InapplicableEventError as error:
            raise PoisonEvent(error.reason, str(error)) from error


def _read(received: ReceivedEvent) -> TerminalEvent:
    try:
        message = events_pb2.TradeTerminal.FromString(received.payload)
        business_date = date.fromisoformat(message.header.business_date)
    except (DecodeError, ValueError) as error:
        raise PoisonEvent("malformed", str(error)) from error
    ending = _ENDINGS.get(message.trade.status)
    if ending is None or message.header.type != f"pool.transaction.{ending}" or not message.trade.transact_id:
        raise PoisonEvent("not_terminal", f"type {message.header.type}")
    event = TerminalEvent(
        event_id=received.event_id,
        trade_id=message.trade.transact_id,
        ending=ending,
        business_date=business_date,
        source=f"{received.topic}/{received.partition}/{received.offset}",
        request_id=received.request_id,
        traceparent=received.traceparent,
    )
    if message.number != event.number or message.header.event_id != received.event_id:
        raise PoisonEvent("contradicts_itself", f"number {message.number}, event {message.header.event_id}")
    return event
