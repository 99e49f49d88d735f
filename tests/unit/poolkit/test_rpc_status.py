"""Errors on the wire: every reason survives the way there and back, and nothing else gets through."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from poolkit.errors import (
    CATALOGUE,
    DeadlineExceeded,
    DomainError,
    Internal,
    InvalidRequest,
    QuoteExpired,
    Unavailable,
    error_for,
)
from poolkit.rpc.convert import error_from_refusal, raise_refusal, refusal
from poolkit.rpc.status import domain_error, status_code, trailers


def received(code: grpc.StatusCode, trailing: Any = ()) -> grpc.aio.AioRpcError:
    """The failure of a call, as its caller gets it."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), "details")


@pytest.mark.parametrize("code", [code for code in CATALOGUE if code != "caller_not_allowed"])
def test_every_reason_survives_the_wire(code: str) -> None:
    error = error_for(code, "What happened.", {"field": "amount"}, 7)
    back = domain_error(received(status_code(error), trailers(error, "req_1")))
    assert type(back) is type(error)
    assert (back.message, back.metadata, back.retry_after_seconds) == ("What happened.", {"field": "amount"}, 7)
    assert status_code(back).name == CATALOGUE[code].grpc_code


def test_status_carries_error_info_request_info_and_the_wait() -> None:
    pairs = dict(trailers(error_for("too_many_active_quotes"), "req_1"))
    status = status_pb2.Status.FromString(pairs["grpc-status-details-bin"])
    info, request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RequestInfo(),
        error_details_pb2.RetryInfo(),
    )
    for detail, message in zip(status.details, (info, request, retry), strict=True):
        assert detail.Unpack(message)
    assert (info.domain, info.reason) == ("pools", "TOO_MANY_ACTIVE_QUOTES")
    assert request.request_id == pairs["x-request-id"] == "req_1"
    assert retry.retry_delay.seconds == 1
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


@pytest.mark.parametrize("code", ["overloaded", "unavailable"])
def test_a_server_that_was_reached_forbids_repeating_by_itself(code: str) -> None:
    assert dict(trailers(error_for(code), "req_1"))["grpc-retry-pushback-ms"] == "-1"
    assert "grpc-retry-pushback-ms" not in dict(trailers(QuoteExpired(), "req_1"))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (received(grpc.StatusCode.UNAVAILABLE), Unavailable),
        (received(grpc.StatusCode.CANCELLED), Unavailable),
        (received(grpc.StatusCode.DEADLINE_EXCEEDED), DeadlineExceeded),
        (received(grpc.StatusCode.RESOURCE_EXHAUSTED), Internal),
        (received(grpc.StatusCode.NOT_FOUND), Internal),
        (received(grpc.StatusCode.UNKNOWN, [("grpc-status-details-bin", b"\xff\xff")]), Internal),
        (TimeoutError(), DeadlineExceeded),
        (KeyError("secret"), Internal),
    ],
)
def test_a_failure_without_a_reason_means_what_its_code_says(
    failure: BaseException, expected: type[DomainError]
) -> None:
    error = domain_error(failure)
    assert type(error) is expected
    assert "secret" not in error.message


def test_another_domains_reason_is_not_ours() -> None:
    status = status_pb2.Status(code=5)
    status.details.add().Pack(error_details_pb2.ErrorInfo(domain="googleapis.com", reason="QUOTE_EXPIRED"))
    failure = received(grpc.StatusCode.NOT_FOUND, [("grpc-status-details-bin", status.SerializeToString())])
    assert type(domain_error(failure)) is Internal


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_reason_survives_as_a_batch_items_refusal(code: str) -> None:
    error = error_for(code, "What happened.", {"field": "amount"}, 7)
    back = error_from_refusal(refusal(error))
    assert type(back) is type(error)
    assert (back.message, back.metadata, back.retry_after_seconds) == ("What happened.", {"field": "amount"}, 7)


def test_an_items_unexpected_failure_is_masked() -> None:
    masked = refusal(RuntimeError("password=hunter2"))
    assert masked.reason == "internal"
    assert "hunter2" not in str(masked)


def test_raise_refusal_raises_the_reason() -> None:
    with pytest.raises(InvalidRequest) as caught:
        raise_refusal(refusal(InvalidRequest("it is too long.", field="clientReference")))
    assert caught.value.field == "clientReference"
