"""Events as their owners publish them, ready to be handed to the ledger's handler."""

import hashlib
from collections.abc import Sequence
from typing import Any

from poolkit.ids import event_id, new_id
from poolkit.inbox import ReceivedEvent
from poolkit.kafka import PAYIN_ALLOCATED, PAYIN_CREDITED, TRADE_TERMINAL, TREASURY_MOVED, Message, topic
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2

UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
_STATUSES = {
    "settled": types_pb2.TRADE_STATUS_SETTLED,
    "failed": types_pb2.TRADE_STATUS_FAILED,
    "released": types_pb2.TRADE_STATUS_RELEASED,
    "returned": types_pb2.TRADE_STATUS_RETURNED,
}


def money(amount: str, currency: str) -> types_pb2.Money:
    return types_pb2.Money(amount=amount, currency=currency)


def trade_event(organization_id: str, trade_id: str, status: str = "settled", **changes: Any) -> ReceivedEvent:
    """A trade's terminal event; by default the contract's buy of 100.00 EUR. `changes` go to the trade."""
    sell = changes.get("side") == types_pb2.SIDE_OFF_RAMP
    trade: dict[str, Any] = {
        "transact_id": trade_id,
        "quote_id": trade_id.replace("pt_", "pq_"),
        "pool_id": "EUR-USDT",
        "side": types_pb2.SIDE_ON_RAMP,
        "status": _STATUSES[status],
        "fiat": money("91.65" if sell else "100.00", "EUR"),
        "crypto": money("100.000000" if sell else "107.904009", "USDT"),
        "rate": "1.085000",
        "spread_bps": 35,
        "fee_bps": 20,
        "fee": money("0.19" if sell else "0.20", "EUR"),
        "network": "tron",
        "client_reference": "mobile_checkout_123",
    }
    message = events_pb2.TradeTerminal(
        header=_header(event_id(trade_id, f"pool.transaction.{status}"), f"pool.transaction.{status}", organization_id),
        trade=types_pb2.Trade(**trade | changes),
        number=2 if status == "returned" else 1,
    )
    return received(TRADE_TERMINAL, message)


def payin(organization_id: str, amount: str = "1000.00", *, bank_id: str = "") -> ReceivedEvent:
    """A pay-in in EUR; of `unallocated` when nobody's."""
    bank_id = bank_id or new_id("req")
    id_ = hashlib.sha256(f"bank:{bank_id}:payin.credited".encode()).hexdigest()
    message = events_pb2.PayinCredited(
        header=_header(id_, "payin.credited", organization_id),
        source="bank",
        bank_transaction_id=bank_id,
        amount=money(amount, "EUR"),
    )
    return received(PAYIN_CREDITED, message)


def allocation(organization_id: str, credited: ReceivedEvent, amount: str = "1000.00") -> ReceivedEvent:
    """A person says whose a pay-in is."""
    id_ = event_id(credited.event_id, "payin.allocated")
    message = events_pb2.PayinAllocated(
        header=_header(id_, "payin.allocated", organization_id),
        payin_event_id=credited.event_id,
        amount=money(amount, "EUR"),
    )
    return received(PAYIN_ALLOCATED, message)


def top_up(amount: str = "5000.000000") -> ReceivedEvent:
    """The treasury puts USDT into the pool."""
    id_ = new_id("req")
    message = events_pb2.TreasuryMoved(
        header=_header(event_id(id_, "treasury.moved"), "treasury.moved", "treasury"),
        movement_id=id_,
        pool_id="EUR-USDT",
        amount=money(amount, "USDT"),
    )
    return received(TREASURY_MOVED, message)


def received(topic_name: str, message: Any) -> ReceivedEvent:
    """The message as the consumer hands it over."""
    header = message.header
    return ReceivedEvent(
        topic=topic_name,
        partition=0,
        offset=0,
        key=header.organization_id,
        event_id=header.event_id,
        type=header.type,
        request_id=header.request_id,
        traceparent=UNSAMPLED,
        mode="test",
        payload=message.SerializeToString(),
        timestamp_ms=0,
    )


def changed(event: ReceivedEvent) -> ReceivedEvent:
    """The same event id with other bytes: the amount paid is another."""
    message = events_pb2.PayinCredited.FromString(event.payload)
    message.amount.amount = "1.00"
    return event._replace(payload=message.SerializeToString())


def messages(events: Sequence[ReceivedEvent], mode: str = "test") -> list[Message]:
    """The events as their owners' relays send them."""
    return [
        Message(
            topic(event.topic, mode),
            event.key.encode(),
            event.payload,
            [
                ("event-id", event.event_id.encode()),
                ("type", event.type.encode()),
                ("schema", event.topic.encode()),
                ("request-id", event.request_id.encode()),
                ("traceparent", event.traceparent.encode()),
                ("mode", mode.encode()),
            ],
        )
        for event in events
    ]


def _header(id_: str, type_: str, organization_id: str) -> events_pb2.EventHeader:
    header = events_pb2.EventHeader(
        event_id=id_,
        type=type_,
        mode=types_pb2.MODE_TEST,
        organization_id=organization_id,
        request_id=new_id("req"),
        business_date="2026-11-22",
    )
    header.occur_time.FromJsonString("2026-11-22T10:00:00.123Z")
    return header
