"""The catalogue of reasons: one table from each expected failure to its type, gRPC code, HTTP status and words.

Codes are plain strings and ints, so that whoever raises a reason knows neither gRPC nor HTTP. A new reason is one row
here and one subclass in `poolkit.errors`; a test fails when either is missing. Source: contract sections 4 to 7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

TYPES: Final = frozenset(
    {
        "invalid_request",
        "authentication",
        "permission",
        "not_found",
        "conflict",
        "rate_limit",
        "payment_required",
        "not_implemented",
        "api_error",
    }
)
"""What `type` in an error body may be. Source: contract section 5."""

DOCUMENTATION_URL: Final = "https://docs.0pools.com/errors"
"""Where the reasons are explained unless a service is told otherwise; `doc_url` is a fragment of it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One expected failure: stable `code` for machines, `sentence` (what and why) and `remedy` for people."""

    code: str
    type: str
    grpc_code: str
    """The name of a gRPC status code: `FAILED_PRECONDITION`."""
    http_status: int
    sentence: str
    remedy: str
    retry_after_seconds: int | None = None
    """How long to wait before trying again; None when waiting alone changes nothing."""

    @property
    def message(self) -> str:
        """What happened, why, and what to do, when there is nothing more particular to say."""
        return f"{self.sentence} {self.remedy}"

    @property
    def error_info_reason(self) -> str:
        """The same reason as `google.rpc.ErrorInfo` spells it: `QUOTE_EXPIRED`."""
        return self.code.upper()

    @property
    def may_be_retried(self) -> bool:
        """Whether the same request, sent again a little later, may succeed."""
        return self.retry_after_seconds is not None or self.type == "api_error"

    def __str__(self) -> str:
        return self.code


_ROWS: Final = (
    # The gates, in the order in which they are checked. Source: contract section 4.
    Reason(
        "unauthorized", "authentication", "UNAUTHENTICATED", 401,
        "The request was not authenticated, because it carries no API key that is known and in force.",
        "Send `Authorization: Bearer <key>` with a current key of this environment.",
    ),
    Reason(
        "key_mode_mismatch", "permission", "PERMISSION_DENIED", 403,
        "The API key belongs to the other mode: test keys work in the test environment only, live keys in live only.",
        "Use a key of this environment's mode.",
    ),
    Reason(
        "secret_key_in_browser", "permission", "PERMISSION_DENIED", 403,
        "A secret key arrived from a browser, where anyone can read it.",
        "Revoke this key, create another, and call from your server; browsers may use a publishable key to list pools.",
    ),
    Reason(
        "secret_key_required", "permission", "PERMISSION_DENIED", 403,
        "A publishable key may only list pools.",
        "Call this operation from your server with a secret key.",
    ),
    Reason(
        "pools_not_enabled", "permission", "PERMISSION_DENIED", 403,
        "Your organization is not enabled for pools in this mode.",
        "Ask your account contact to enable it.",
    ),
    Reason(
        "pool_access_suspended", "permission", "PERMISSION_DENIED", 403,
        "Your organization's access to pools is suspended.",
        "Ask your account contact why; trades already accepted go on.",
    ),
    Reason(
        "kyc_not_approved", "permission", "PERMISSION_DENIED", 403,
        "Your organization's verification is not approved: it is still pending or was revoked.",
        "Complete the verification with your account contact.",
    ),
    Reason(
        "rate_limited", "rate_limit", "RESOURCE_EXHAUSTED", 429,
        "Your organization sent more requests than its rate limit allows.",
        "Wait as long as `Retry-After` says, then send the request again.",
        retry_after_seconds=1,
    ),
    Reason(
        "request_too_large", "invalid_request", "INVALID_ARGUMENT", 413,
        "The request body is larger than 64 KiB.",
        "Send a smaller body.",
    ),
    Reason(
        "invalid_request", "invalid_request", "INVALID_ARGUMENT", 400,
        "The request does not fit its schema.",
        "Correct the named field and send the request again.",
    ),
    Reason(
        "pool_not_allowed", "permission", "PERMISSION_DENIED", 403,
        "This pool is not among the pools allowed for your organization.",
        "List your pools with GET /v1/pools, or ask your account contact to allow this one.",
    ),
    Reason(
        "not_found", "not_found", "NOT_FOUND", 404,
        "Nothing with this id exists for your organization.",
        "Check the id, and that the key belongs to the organization and mode that made it.",
    ),
    # Quotes and transacts. Source: contract section 5.
    Reason(
        "idempotency_key_required", "invalid_request", "INVALID_ARGUMENT", 400,
        "A transact needs an `Idempotency-Key` of 1 to 255 printable characters, and none that fits was sent.",
        "Send one that is unique to this order, and the same one again whenever you repeat the request.",
    ),
    Reason(
        "quote_expired", "conflict", "FAILED_PRECONDITION", 409,
        "The quote can no longer be used, because it was not transacted before its `expiresAt`.",
        "Ask for a new quote and transact that one.",
    ),
    Reason(
        "quote_rejected", "conflict", "FAILED_PRECONDITION", 409,
        "The quote can no longer be used, because it was rejected.",
        "Ask for a new quote and transact that one.",
    ),
    Reason(
        "quote_consumed", "conflict", "FAILED_PRECONDITION", 409,
        "The quote can no longer be rejected, because it was already transacted.",
        "Read its trade with GET /v1/pools/transactions/{quoteId}.",
    ),
    Reason(
        "idempotency_in_progress", "conflict", "ABORTED", 409,
        "The first request for this quote or idempotency key is still running, so its answer is not known yet.",
        "Wait as long as `Retry-After` says, then send the same request with the same key again.",
        retry_after_seconds=1,
    ),
    Reason(
        "idempotency_conflict", "conflict", "ALREADY_EXISTS", 409,
        "This idempotency key already belongs to a request with another path or body.",
        "Use a new key for a new order, or repeat the first request unchanged.",
    ),
    Reason(
        "insufficient_balance", "payment_required", "FAILED_PRECONDITION", 402,
        "The available balance does not cover this trade; amounts held for reserved trades do not count as available.",
        "Fund the account, or ask for a smaller quote; the same idempotency key may try again.",
    ),
    Reason(
        "velocity_exceeded", "rate_limit", "RESOURCE_EXHAUSTED", 429,
        "This trade would exceed the notional your organization may trade within 24 hours.",
        "Wait until earlier trades leave the window, or ask your account contact to raise the cap.",
    ),
    Reason(
        "too_many_active_quotes", "rate_limit", "RESOURCE_EXHAUSTED", 429,
        "Your organization already has as many active firm quotes as its tier allows.",
        "Reject quotes you do not need, or wait until some expire; indicative quotes are not counted.",
        retry_after_seconds=1,
    ),
    Reason(
        "off_ramp_not_enabled", "not_implemented", "UNIMPLEMENTED", 501,
        "Off-ramp is not enabled for your organization.",
        "Use `on_ramp`, or ask your account contact to enable off-ramp.",
    ),
    # Between colleagues: attempts that were undone, callers that are not on the list.
    Reason(
        "attempt_undone", "conflict", "FAILED_PRECONDITION", 409,
        "This attempt was already given back, so it can take nothing any more.",
        "Begin a new attempt with a new trade id.",
    ),
    Reason(
        "caller_not_allowed", "permission", "PERMISSION_DENIED", 403,
        "The calling service is not on the list of callers allowed here.",
        "Add it to the callee's list of callers if it should be.",
    ),
    Reason(
        "name_taken", "conflict", "ALREADY_EXISTS", 409,
        "Something with this name exists already, and names are unique.",
        "Choose another name, or change the existing one.",
    ),
    Reason(
        "key_not_in_force", "conflict", "FAILED_PRECONDITION", 409,
        "The key cannot be rotated, because it ends or has ended already.",
        "Rotate the key that took its place, or make a new one.",
    ),
    Reason(
        "too_many_webhook_endpoints", "conflict", "FAILED_PRECONDITION", 409,
        "The organization has as many webhook endpoints in use as an organization may have.",
        "Disable one that is no longer needed, then try again.",
    ),
    # The life of a trade. Source: contract section 6.
    Reason(
        "illegal_transition", "conflict", "FAILED_PRECONDITION", 409,
        "The trade cannot take this status: `reserved` becomes `settled`, `failed` or `released`, and `settled` "
        "becomes `returned`; nothing else.",
        "Compare the report with the trade; the report is stored and listed as an exception.",
    ),
    Reason(
        "report_mismatch", "conflict", "FAILED_PRECONDITION", 409,
        "The report names another amount or currency than the trade, so it does not settle it.",
        "Compare the report with the trade; the report is stored and listed as an exception.",
    ),
    # Webhooks coming in. Source: contract section 7.
    Reason(
        "signature_invalid", "authentication", "UNAUTHENTICATED", 401,
        "The webhook's signature does not match its body with any secret in force for this source.",
        "Sign the raw body with the current secret.",
    ),
    Reason(
        "timestamp_stale", "invalid_request", "INVALID_ARGUMENT", 400,
        "The webhook's timestamp is not a Unix time within 300 seconds of now.",
        "Correct the sender's clock and sign the webhook anew.",
    ),
    Reason(
        "kind_not_allowed", "permission", "PERMISSION_DENIED", 403,
        "This source may not send events of this kind.",
        "Send it from a source that may, or allow the kind for this source.",
    ),
    Reason(
        "event_conflict", "conflict", "ALREADY_EXISTS", 409,
        "This event id was already used by this source with other fields.",
        "Give a new event its own id; the reuse is stored and listed as an exception.",
    ),
    Reason(
        "payin_conflict", "conflict", "ALREADY_EXISTS", 409,
        "This bank transaction id was already reported by this source with other fields.",
        "Check the bank's report; the reuse is stored and listed as an exception.",
    ),
    Reason(
        "payin_allocated", "conflict", "FAILED_PRECONDITION", 409,
        "The pay-in belongs to another organization already.",
        "Look at its journey; money is never moved between partners by allocating it again.",
    ),
    # The house itself.
    Reason(
        "headers_too_large", "invalid_request", "INVALID_ARGUMENT", 431,
        "The request's headers are more than 100, or larger than 32 KiB together.",
        "Send fewer or shorter headers.",
    ),
    Reason(
        "method_not_allowed", "invalid_request", "UNIMPLEMENTED", 405,
        "This path does not support the request's method.",
        "Use a method that `Allow` names.",
    ),
    Reason(
        "overloaded", "api_error", "UNAVAILABLE", 503,
        "More requests are waiting than can be served in time, so this one was not begun.",
        "Send it again after a moment, with the same idempotency key if it has one.",
        retry_after_seconds=1,
    ),
    Reason(
        "unavailable", "api_error", "UNAVAILABLE", 503,
        "A part that this request needs is out of reach, so its outcome is not known.",
        "Send it again after a moment, with the same idempotency key if it has one.",
        retry_after_seconds=1,
    ),
    Reason(
        "deadline_exceeded", "api_error", "DEADLINE_EXCEEDED", 503,
        "The request took longer than its deadline allows, so its outcome is not known.",
        "Send it again with the same idempotency key, or read the outcome by its id.",
        retry_after_seconds=1,
    ),
    Reason(
        "internal", "api_error", "INTERNAL", 500,
        "Something failed on our side, and the details were recorded.",
        "Send the request again with the same idempotency key; if it persists, give support the request id.",
    ),
)  # fmt: skip

CATALOGUE: Final[Mapping[str, Reason]] = MappingProxyType({reason.code: reason for reason in _ROWS})
"""Every reason by its code, in the order of the tables above."""

QUOTE_UNAVAILABLE_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pool_dry": "The pool's inventory does not cover this amount now.",
        "engine_unavailable": "The quote engine is out of reach now.",
        "rate_unavailable": "There is no fresh rate for this pair now.",
    }
)
"""Why a quote cannot be given now. Not errors: they answer 200 with `available: false`. Source: contract section 5."""
