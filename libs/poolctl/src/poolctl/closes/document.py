"""Owns a close and its exceptions as JSON documents: the proto's fields in camelCase, unknown ids left out."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from poolctl.commands.documents import Document, time_text
from pools.ledger.v1 import close_pb2
from pools.types.v1 import types_pb2


def close_document(close: close_pb2.Close) -> Document:
    """The close without its exceptions. Counts are numbers, amounts decimal strings beside their currency."""
    return _document(close)


def exception_document(found: close_pb2.CloseException) -> Document:
    """One exception; of its ids only those that are known."""
    document = _document(found)
    document["ids"] = known_ids(found.ids)
    for candidate, made in zip(found.candidates, document["candidates"], strict=True):
        made["ids"] = known_ids(candidate.ids)
    return document


def known_ids(ids: close_pb2.ExceptionIds) -> dict[str, str]:
    """The ids that are set, in the proto's order."""
    return {field.json_name: value for field, value in ids.ListFields()}


def kind_word(kind: close_pb2.ExceptionKind.ValueType) -> str:
    """`amount_mismatch` of EXCEPTION_KIND_AMOUNT_MISMATCH, as everywhere outside the protos."""
    return close_pb2.ExceptionKind.Name(kind).removeprefix("EXCEPTION_KIND_").lower()


def status_and_side(total: close_pb2.TradeTotal) -> tuple[str, str]:
    """`settled`, `on_ramp`: which trades the total is of."""
    status = types_pb2.TradeStatus.Name(total.status).removeprefix("TRADE_STATUS_").lower()
    return status, types_pb2.Side.Name(total.side).removeprefix("SIDE_").lower()


def money_text(money: types_pb2.Money) -> str:
    """`100.00 EUR`; empty where that side knows no amount."""
    return f"{money.amount} {money.currency}" if money.currency else ""


def _document(message: Message) -> Document:
    return {field.json_name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_single(field, each) for each in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return time_text(value)
    if isinstance(value, Message):
        return _document(value)
    if field.enum_type is not None:
        return _enum_word(field, value)
    return value


def _enum_word(field: Any, number: int) -> str:
    values = field.enum_type.values_by_number
    # Every value of an enum begins with the enum's own name, as its first one, …_UNSPECIFIED, shows.
    word: str = values[number].name.removeprefix(values[0].name.removesuffix("UNSPECIFIED"))
    return word.lower()


def counted(totals: Iterable[close_pb2.ExceptionTotal]) -> dict[str, int]:
    """How many exceptions there are of each kind."""
    return {kind_word(total.kind): total.exception_count for total in totals}
