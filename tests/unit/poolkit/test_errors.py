"""Every reason has all its words and codes, one exception, and survives the way through a batch item."""

import copy
import pickle
import re

import pytest

from poolkit import errors
from poolkit.errors import CATALOGUE, TYPES, DomainError, error_for

# The contract's reasons with the HTTP status and type it gives them, in its own order (sections 4, 5 and 7).
CONTRACT = [
    ("unauthorized", 401, "authentication"),
    ("key_mode_mismatch", 403, "permission"),
    ("secret_key_in_browser", 403, "permission"),
    ("secret_key_required", 403, "permission"),
    ("pools_not_enabled", 403, "permission"),
    ("pool_access_suspended", 403, "permission"),
    ("kyc_not_approved", 403, "permission"),
    ("rate_limited", 429, "rate_limit"),
    ("request_too_large", 413, "invalid_request"),
    ("invalid_request", 400, "invalid_request"),
    ("pool_not_allowed", 403, "permission"),
    ("not_found", 404, "not_found"),
    ("idempotency_key_required", 400, "invalid_request"),
    ("quote_rejected", 409, "conflict"),
    ("quote_consumed", 409, "conflict"),
    ("quote_expired", 409, "conflict"),
    ("idempotency_in_progress", 409, "conflict"),
    ("idempotency_conflict", 409, "conflict"),
    ("too_many_active_quotes", 429, "rate_limit"),
    ("insufficient_balance", 402, "payment_required"),
    ("velocity_exceeded", 429, "rate_limit"),
    ("off_ramp_not_enabled", 501, "not_implemented"),
    ("signature_invalid", 401, "authentication"),
    ("timestamp_stale", 400, "invalid_request"),
    ("event_conflict", 409, "conflict"),
    ("overloaded", 503, "api_error"),
    ("unavailable", 503, "api_error"),
    ("deadline_exceeded", 503, "api_error"),
    ("internal", 500, "api_error"),
]

# Which HTTP statuses a gRPC code may stand beside, so that both ways in tell the same story.
STATUSES_OF_GRPC_CODES = {
    "INVALID_ARGUMENT": {400, 413, 431},
    "UNAUTHENTICATED": {401},
    "PERMISSION_DENIED": {403},
    "NOT_FOUND": {404},
    "ALREADY_EXISTS": {409},
    "ABORTED": {409},
    "FAILED_PRECONDITION": {402, 409},
    "RESOURCE_EXHAUSTED": {429},
    "UNIMPLEMENTED": {405, 501},
    "INTERNAL": {500},
    "UNAVAILABLE": {503},
    "DEADLINE_EXCEEDED": {503},
}


@pytest.mark.parametrize(("code", "http_status", "type_"), CONTRACT)
def test_reason_has_the_status_and_type_of_the_contract(code: str, http_status: int, type_: str) -> None:
    assert (CATALOGUE[code].http_status, CATALOGUE[code].type) == (http_status, type_)


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_reason_is_complete(code: str) -> None:
    reason = CATALOGUE[code]
    assert reason.code == str(reason) == code
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert reason.error_info_reason == code.upper()
    assert reason.type in TYPES
    assert reason.http_status in STATUSES_OF_GRPC_CODES[reason.grpc_code]


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_reason_says_what_happened_and_what_to_do(code: str) -> None:
    reason = CATALOGUE[code]
    for words in (reason.sentence, reason.remedy):
        assert re.fullmatch(r"[A-Z].{15,}\.", words), words
    assert reason.message == f"{reason.sentence} {reason.remedy}"


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_reason_has_exactly_one_exception(code: str) -> None:
    classes = [each for each in DomainError.__subclasses__() if each.reason.code == code]
    assert classes == [DomainError.by_code[code]]
    assert getattr(errors, classes[0].__name__) is classes[0]
    assert classes[0].__name__.lower() == code.replace("_", "")


def test_waiting_is_advised_where_waiting_helps() -> None:
    assert errors.IdempotencyInProgress().retry_after_seconds == 1
    assert errors.RateLimited(retry_after_seconds=7).retry_after_seconds == 7
    assert errors.Overloaded().retry_after_seconds == 1
    assert errors.QuoteExpired().retry_after_seconds is None


def test_detail_stands_between_cause_and_remedy() -> None:
    error = errors.InsufficientBalance("Available are 10.00 EUR.", currency="EUR")
    reason = error.reason
    assert error.message == str(error) == f"{reason.sentence} Available are 10.00 EUR. {reason.remedy}"
    assert error.metadata == {"currency": "EUR"}
    assert error.code == "insufficient_balance"


def test_invalid_request_names_its_field() -> None:
    error = errors.InvalidRequest("it is not a network; use tron.", field="network")
    assert error.message == "network: it is not a network; use tron."
    assert error.metadata == {"field": error.field} == {"field": "network"}
    assert errors.InvalidRequest().message == CATALOGUE["invalid_request"].message


def test_absent_things_are_indistinguishable_whatever_they_are() -> None:
    pool, quote = errors.NotFound(resource="pool"), errors.NotFound(resource="quote")
    assert (pool.message, pool.metadata) == (quote.message, quote.metadata)
    assert pool.resource == "pool"


@pytest.mark.parametrize("code", CATALOGUE)
def test_error_survives_the_way_through_a_batch_item(code: str) -> None:
    rebuilt = error_for(code, "It was so. Do this.", {"field": "amount"}, 9)
    assert type(rebuilt) is DomainError.by_code[code]
    assert rebuilt.message == "It was so. Do this."
    assert rebuilt.metadata == {"field": "amount"}
    assert rebuilt.retry_after_seconds == 9
    plain = error_for(code)
    assert plain.message == CATALOGUE[code].message
    assert plain.retry_after_seconds == CATALOGUE[code].retry_after_seconds


def test_error_info_reasons_are_understood_too() -> None:
    assert isinstance(error_for("QUOTE_EXPIRED"), errors.QuoteExpired)
    invalid = error_for("INVALID_REQUEST", "amount: no.", {"field": "amount"})
    assert isinstance(invalid, errors.InvalidRequest)
    assert invalid.field == "amount"


def test_reason_of_a_newer_colleague_is_masked_but_named() -> None:
    error = error_for("planet_misaligned", "An unknown story.")
    assert isinstance(error, errors.Internal)
    assert error.message == CATALOGUE["internal"].message
    assert error.metadata == {"reason": "planet_misaligned"}


@pytest.mark.parametrize(
    "error",
    [errors.QuoteExpired("At noon.", quote_id="pq_1"), errors.InvalidRequest("no.", field="amount"), errors.NotFound()],
)
def test_errors_can_be_copied_and_pickled(error: DomainError) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert (again.message, again.metadata) == (error.message, error.metadata)


def test_quote_unavailability_is_no_error() -> None:
    assert set(errors.QUOTE_UNAVAILABLE_REASONS) == {"pool_dry", "engine_unavailable", "rate_unavailable"}
    assert not set(errors.QUOTE_UNAVAILABLE_REASONS) & set(CATALOGUE)
