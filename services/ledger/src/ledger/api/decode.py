"""Owns reading events: the bytes of the four topics as what the ledger understands of them."""

from collections.abc import Callable
from datetime import date
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from ledger.domain.amounts import minor_units
from ledger.domain.events import (
    OFF_RAMP,
    ON_RAMP,
    TRADE_EVENT_TYPE,
    Cause,
    Event,
    PayinAllocated,
    PayinCredited,
    TradeTerminal,
    TreasuryMoved,
    awaited_by,
    check_trade,
)
from ledger.store.close.standing import Unapplied
from poolkit.errors import InvalidRequest
from poolkit.kafka import PAYIN_ALLOCATED, PAYIN_CREDITED, TRADE_TERMINAL, TREASURY_MOVED
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2

_SIDES: Final = {types_pb2.SIDE_ON_RAMP: ON_RAMP, types_pb2.SIDE_OFF_RAMP: OFF_RAMP}
_STATUSES: Final = {
    types_pb2.TRADE_STATUS_SETTLED: "settled",
    types_pb2.TRADE_STATUS_FAILED: "failed",
    types_pb2.TRADE_STATUS_RELEASED: "released",
    types_pb2.TRADE_STATUS_RETURNED: "returned",
}
MODES: Final = {"test": types_pb2.MODE_TEST, "live": types_pb2.MODE_LIVE}


class Received(Protocol):
    """An event as the broker delivered it, or as the inbox kept it."""

    @property
    def event_id(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def request_id(self) -> str: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


def decoder(mode: str) -> Callable[[Received], Event]:
    """Reads events of one mode. Raises InvalidRequest for whatever is not an event the ledger can apply."""
    expected = MODES[mode]

    def decode(received: Received) -> Event:
        topic = received.topic.removesuffix(".test")
        read = _READERS.get(topic)
        if read is None:
            raise InvalidRequest(f"{topic!r} is not a topic of the ledger.", field="topic")
        try:
            header, cause = read(received.payload)
        except DecodeError as error:
            raise InvalidRequest("the bytes are no message of their topic.", field="payload") from error
        if header.event_id != received.event_id:
            raise InvalidRequest("the payload names another event than the message.", field="header.event_id")
        if header.type != received.type:
            raise InvalidRequest("the payload names another type than the message.", field="header.type")
        if header.mode != expected:
            raise InvalidRequest(f"the event is not of mode {mode}.", field="header.mode")
        if not header.organization_id:
            raise InvalidRequest("it is missing.", field="header.organization_id")
        occurred = header.occur_time
        return Event(
            header.event_id,
            topic,
            header.type,
            header.organization_id,
            _business_date(header.business_date),
            occurred.seconds * 1000 + occurred.nanos // 1_000_000,
            received.payload,
            header.request_id,
            received.traceparent,
            received.partition,
            received.offset,
            awaited_by(cause),
            cause,
        )

    return decode


def _business_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{text!r} is not a date.", field="header.business_date") from error


def trade_of(unapplied: Unapplied) -> str:
    """The trade that an event which could not be applied is about; empty where nobody can tell."""
    if unapplied.topic != TRADE_TERMINAL:
        return ""
    try:
        return events_pb2.TradeTerminal.FromString(unapplied.payload).trade.transact_id
    except DecodeError:
        return ""


def _trade_terminal(payload: bytes) -> tuple[events_pb2.EventHeader, Cause]:
    message = events_pb2.TradeTerminal.FromString(payload)
    header, trade = message.header, message.trade
    status = _STATUSES.get(trade.status, "")
    if header.type != TRADE_EVENT_TYPE + status:
        raise InvalidRequest("the type is not that of the trade's status.", field="header.type")
    fiat, crypto = trade.fiat, trade.crypto
    cause = TradeTerminal(
        trade.transact_id,
        trade.quote_id,
        trade.pool_id,
        _SIDES.get(trade.side, ""),
        status,
        message.number,
        fiat.currency,
        minor_units(fiat.amount, fiat.currency),
        minor_units(trade.fee.amount, fiat.currency),
        crypto.currency,
        minor_units(crypto.amount, crypto.currency),
        trade.rate,
        trade.client_reference,
    )
    return header, check_trade(cause)


def _payin_credited(payload: bytes) -> tuple[events_pb2.EventHeader, Cause]:
    message = events_pb2.PayinCredited.FromString(payload)
    currency = message.amount.currency
    return message.header, PayinCredited(currency, _positive(message.amount))


def _payin_allocated(payload: bytes) -> tuple[events_pb2.EventHeader, Cause]:
    message = events_pb2.PayinAllocated.FromString(payload)
    if not message.payin_event_id:
        raise InvalidRequest("it is missing.", field="payin_event_id")
    return message.header, PayinAllocated(message.payin_event_id, message.amount.currency, _positive(message.amount))


def _treasury_moved(payload: bytes) -> tuple[events_pb2.EventHeader, Cause]:
    message = events_pb2.TreasuryMoved.FromString(payload)
    currency = message.amount.currency
    units = minor_units(message.amount.amount, currency)
    if not units or not message.pool_id:
        raise InvalidRequest("a movement has a pool and an amount other than zero.", field="amount")
    return message.header, TreasuryMoved(message.pool_id, currency, units)


def _positive(amount: types_pb2.Money) -> int:
    units = minor_units(amount.amount, amount.currency)
    if units <= 0:
        raise InvalidRequest("it must be greater than zero.", field="amount")
    return units


_READERS: Final[dict[str, Callable[[bytes], tuple[events_pb2.EventHeader, Cause]]]] = {
    TRADE_TERMINAL: _trade_terminal,
    PAYIN_CREDITED: _payin_credited,
    PAYIN_ALLOCATED: _payin_allocated,
    TREASURY_MOVED: _treasury_moved,
}
