"""The way in for terminal events of trades: what is received becomes what the use case stores and tells partners of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from google.protobuf.message import DecodeError

from gateway.domain.deliveries import DELIVERED_TYPES, TerminalEvent
from gateway.domain.views import webhook_view
from poolkit.inbox import PoisonEvent, ReceivedEvent
from pools.events.v1 import events_pb2

_encode = msgspec.json.Encoder().encode

Receive = Callable[[Sequence[TerminalEvent]], Awaitable[None]]


def terminal_event_handler(receive: Receive) -> Callable[[list[ReceivedEvent]], Awaitable[None]]:
    """The handler of a consumer of `pools.trade.terminal.v1`."""

    async def handle(received: list[ReceivedEvent]) -> None:
        await receive([terminal_event(event) for event in received])

    return handle


def terminal_event(received: ReceivedEvent) -> TerminalEvent:
    """The event with its webhook's body. Raises PoisonEvent for what is no terminal event."""
    try:
        message = events_pb2.TradeTerminal.FromString(received.payload)
    except DecodeError as error:
        raise PoisonEvent("the payload is no TradeTerminal") from error
    header, trade = message.header, message.trade
    if header.event_id != received.event_id or not trade.transact_id or not header.organization_id:
        raise PoisonEvent("the event does not say which trade and organization it is of, or has another id within")
    body = b""
    if header.type in DELIVERED_TYPES:
        body = _encode(
            webhook_view(event_id=header.event_id, event_type=header.type, occurred=header.occur_time, trade=trade)
        )
    return TerminalEvent(
        event_id=header.event_id,
        type=header.type,
        organization_id=header.organization_id,
        trade_id=trade.transact_id,
        quote_id=trade.quote_id,
        client_reference=trade.client_reference,
        request_id=header.request_id,
        traceparent=received.traceparent,
        occurred_microseconds=header.occur_time.seconds * 1_000_000 + header.occur_time.nanos // 1_000,
        body=body,
        source=f"{received.topic}/{received.partition}/{received.offset}",
    )
