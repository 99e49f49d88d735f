"""Errors on the wire: a DomainError as google.rpc.Status with ErrorInfo, and back."""

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from poolkit.errors import (
    CATALOGUE,
    CallerNotAllowed,
    DeadlineExceeded,
    DomainError,
    Internal,
    Unavailable,
    error_for,
)
from poolkit.rpc.handshakes import tell_of_handshake

ERROR_DOMAIN = "pools"
_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code: grpc.StatusCode[reason.grpc_code] for code, reason in CATALOGUE.items()}

log = structlog.get_logger(__name__)

Trailers = tuple[tuple[str, str | bytes], ...]


def status_code(error: DomainError) -> grpc.StatusCode:
    """The gRPC code of the error's reason."""
    return _CODES[error.reason.code]


def trailers(error: DomainError, request_id: str, *, ask_again: bool = False) -> Trailers:
    """Trailing metadata that carries the whole error: google.rpc.Status with ErrorInfo, RequestInfo and RetryInfo.

    With UNAVAILABLE it forbids the caller's gRPC to repeat the call by itself, unless it may `ask_again`.
    """
    status = status_pb2.Status(code=status_code(error).value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(
        reason=error.reason.error_info_reason, domain=ERROR_DOMAIN, metadata=error.metadata
    )
    status.details.add().Pack(info)
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    if error.retry_after_seconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.seconds = error.retry_after_seconds
        status.details.add().Pack(retry)
    pairs: Trailers = ((_DETAILS_KEY, status.SerializeToString()), ("x-request-id", request_id))
    if error.reason.grpc_code == "UNAVAILABLE" and not ask_again:
        # A server that was reached has decided: only broken connections are tried again by themselves, or every hop
        # would multiply the attempts of the one before.
        pairs = (*pairs, ("grpc-retry-pushback-ms", "-1"))
    return pairs


def domain_error(failure: BaseException) -> DomainError:
    """What a failed call means to the caller: the callee's own reason where it gave one, else what its code says.

    UNAVAILABLE, CANCELLED and DEADLINE_EXCEEDED say that the outcome is unknown, never that it failed. Anything
    unexpected is masked, and logged with the request id by whoever answers it.
    """
    if isinstance(failure, DomainError):
        return failure
    if isinstance(failure, TimeoutError):
        return DeadlineExceeded()
    if not isinstance(failure, grpc.aio.AioRpcError):
        return Internal()
    given = _given(failure)
    if isinstance(given, CallerNotAllowed):
        # We are not on a colleague's list: a fault of ours, and no answer to whoever called us.
        log.error("refused_as_caller", why=given.message)
        return Internal()
    if given is not None:
        return given
    code = failure.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded()
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        tell_of_handshake(failure.details() or "")
        return Unavailable()
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # gRPC's own refusals, such as a message over the limit: a fault between colleagues, not the partner's.
        log.warning("rpc_refused_by_grpc", details=failure.details())
    return Internal()


def _given(failure: grpc.aio.AioRpcError) -> DomainError | None:
    for key, value in failure.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                return None
            return _from_status(status)
    return None


def _from_status(status: status_pb2.Status) -> DomainError | None:
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    found = False
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
            found = info.domain == ERROR_DOMAIN
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            detail.Unpack(retry)
    if not found:
        return None
    return error_for(info.reason.lower(), status.message, dict(info.metadata), retry.retry_delay.seconds or None)
