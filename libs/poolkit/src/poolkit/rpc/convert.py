"""The one translation between the shared protobuf types and poolkit's own: contexts, money, times and refusals."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NoReturn

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from poolkit.context import CallContext, current_request_id
from poolkit.errors import DomainError, Internal, InvalidRequest, error_for
from poolkit.money import Money, format_amount, parse_decimal
from poolkit.rpc.status import domain_error
from pools.types.v1 import types_pb2

log = structlog.get_logger(__name__)

MODES: Final[Mapping[str, types_pb2.Mode.ValueType]] = {"test": types_pb2.MODE_TEST, "live": types_pb2.MODE_LIVE}
_MODE_NAMES: Final = {value: name for name, value in MODES.items()}


def to_context(proto: types_pb2.RequestContext, mode: str = "") -> CallContext:
    """Who asks, for one item. Raises InvalidRequest where the mode is not stated, or is another than `mode`."""
    name = _MODE_NAMES.get(proto.mode, "")
    if not name or (mode and name != mode):
        raise InvalidRequest(
            f"the item is of mode {name or 'unspecified'}; send it to a deployment of its own mode.",
            field="context.mode",
        )
    deadline = 0.0
    if proto.HasField("deadline_time"):
        deadline = proto.deadline_time.seconds + proto.deadline_time.nanos * 1e-9
    return CallContext(proto.request_id, proto.organization_id, name, proto.traceparent, deadline)


def from_context(context: CallContext) -> types_pb2.RequestContext:
    """The context as the callee's item carries it."""
    return types_pb2.RequestContext(
        request_id=context.request_id,
        organization_id=context.organization_id,
        mode=MODES[context.mode],
        traceparent=context.traceparent,
        deadline_time=_from_seconds(context.deadline) if context.deadline else None,
    )


def _from_seconds(unix_seconds: float) -> Timestamp:
    whole = int(unix_seconds)
    return Timestamp(seconds=whole, nanos=int((unix_seconds - whole) * 1e9))


def to_time(proto: Timestamp) -> datetime:
    """The moment, in UTC, to the microsecond. Ask HasField first: an unset field reads as 1970."""
    return datetime.fromtimestamp(proto.seconds, UTC).replace(microsecond=proto.nanos // 1000)


def from_time(moment: datetime) -> Timestamp:
    """The moment as a protobuf timestamp; a naive datetime is refused, because its zone would be a guess."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def set_time(proto: Timestamp, moment: datetime) -> None:
    """The moment, set in place: a third of the cost of making a message and copying it into another."""
    since = moment - _EPOCH
    proto.seconds = since.days * 86_400 + since.seconds
    proto.nanos = since.microseconds * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_money(proto: types_pb2.Money) -> Money:
    """Money between colleagues: signed, exact. A partner's amount is checked with `parse_amount` first."""
    return Money(parse_decimal(proto.amount), proto.currency)


def from_money(money: Money) -> types_pb2.Money:
    """Money with exactly its currency's digits."""
    return types_pb2.Money(amount=format_amount(money.amount, money.currency), currency=money.currency)


def refusal(error: BaseException) -> types_pb2.Refusal:
    """Why one item was not done. What was not expected is masked here and logged in full with the request id."""
    known = domain_error(error)
    if isinstance(known, Internal) and known is not error:
        log.error("item_failed", exc_info=error, request_id=current_request_id.get())
    return types_pb2.Refusal(
        reason=known.reason.code,
        message=known.message,
        metadata=known.metadata,
        retry_after_seconds=known.retry_after_seconds or 0,
    )


def error_from_refusal(proto: types_pb2.Refusal) -> DomainError:
    """The callee's reason as the exception it stands for, to raise or to hand to one item of a batch."""
    return error_for(proto.reason, proto.message, dict(proto.metadata), proto.retry_after_seconds or None)


def raise_refusal(proto: types_pb2.Refusal) -> NoReturn:
    """Raises the callee's reason as the exception it stands for."""
    raise error_from_refusal(proto)
