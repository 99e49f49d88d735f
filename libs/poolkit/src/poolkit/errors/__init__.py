"""Expected failures as exceptions, one subclass per reason of the catalogue; they know neither gRPC nor HTTP."""

from poolkit.errors.base import DomainError, error_for
from poolkit.errors.catalogue import CATALOGUE, DOCUMENTATION_URL, QUOTE_UNAVAILABLE_REASONS, TYPES, Reason

__all__ = ["CATALOGUE", "DOCUMENTATION_URL", "QUOTE_UNAVAILABLE_REASONS", "TYPES", "DomainError", "Reason", "error_for"]


class Unauthorized(DomainError, code="unauthorized"):
    """No key, a malformed, an unknown or a revoked one."""


class KeyModeMismatch(DomainError, code="key_mode_mismatch"):
    """The key's prefix is not of this environment's mode."""


class SecretKeyInBrowser(DomainError, code="secret_key_in_browser"):
    """A secret key in a request a browser made."""


class SecretKeyRequired(DomainError, code="secret_key_required"):
    """A publishable key used for anything but listing pools."""


class PoolsNotEnabled(DomainError, code="pools_not_enabled"):
    """The organization has no entitlement in this mode."""


class PoolAccessSuspended(DomainError, code="pool_access_suspended"):
    """The entitlement is suspended."""


class KycNotApproved(DomainError, code="kyc_not_approved"):
    """The organization's KYC is pending or revoked."""


class RateLimited(DomainError, code="rate_limited"):
    """The organization's rate limit is used up."""


class RequestTooLarge(DomainError, code="request_too_large"):
    """The body is over its limit."""


class InvalidRequest(DomainError, code="invalid_request"):
    """The request does not fit its schema; `field` names the part that does not, as the caller spells it."""

    field: str

    def __init__(self, message: str = "", *, field: str = "", **metadata: str) -> None:
        self.field = field
        text = message or self.reason.message
        if field:
            metadata["field"] = field
            text = f"{field}: {text}"
        self.describe(text, metadata, None)

    def describe(self, message: str, metadata: dict[str, str], retry_after_seconds: int | None) -> None:
        super().describe(message, metadata, retry_after_seconds)
        self.field = metadata.get("field", "")


class PoolNotAllowed(DomainError, code="pool_not_allowed"):
    """The pool exists but is not among the organization's."""


class NotFound(DomainError, code="not_found"):
    """Absent, or another organization's: the answer is the same to the letter.

    `resource` is for the log alone. It reaches neither message nor metadata, or the answer to a transact would tell an
    absent pool from an absent quote. `detail` is for admin operations, whose callers may know.
    """

    resource: str = ""

    def __init__(self, resource: str = "", *, detail: str = "") -> None:
        super().__init__(detail)
        self.resource = resource


class IdempotencyKeyRequired(DomainError, code="idempotency_key_required"):
    """A transact without a usable idempotency key."""


class QuoteExpired(DomainError, code="quote_expired"):
    """The quote's time ran out."""


class QuoteRejected(DomainError, code="quote_rejected"):
    """The partner gave the quote back."""


class QuoteConsumed(DomainError, code="quote_consumed"):
    """The quote was accepted by a trade."""


class IdempotencyInProgress(DomainError, code="idempotency_in_progress"):
    """The first request for this key or quote still runs or is being undone."""


class IdempotencyConflict(DomainError, code="idempotency_conflict"):
    """The idempotency key is bound to another path or body."""


class InsufficientBalance(DomainError, code="insufficient_balance"):
    """The available balance does not cover the hold."""


class VelocityExceeded(DomainError, code="velocity_exceeded"):
    """The rolling notional cap would be exceeded."""


class TooManyActiveQuotes(DomainError, code="too_many_active_quotes"):
    """The organization has as many active firm quotes as its tier allows."""


class OffRampNotEnabled(DomainError, code="off_ramp_not_enabled"):
    """The organization may not sell crypto."""


class AttemptUndone(DomainError, code="attempt_undone"):
    """A tombstone: this trade id was released or voided, a later consume or hold of it is refused."""


class CallerNotAllowed(DomainError, code="caller_not_allowed"):
    """The calling service is not on the callee's list."""


class NameTaken(DomainError, code="name_taken"):
    """Something of this name exists already."""


class KeyNotInForce(DomainError, code="key_not_in_force"):
    """The API key was rotated, has expired or is revoked."""


class TooManyWebhookEndpoints(DomainError, code="too_many_webhook_endpoints"):
    """The organization has as many webhook endpoints in use as it may."""


class IllegalTransition(DomainError, code="illegal_transition"):
    """The trade cannot move from its status to the reported one."""


class ReportMismatch(DomainError, code="report_mismatch"):
    """The report names another amount or currency than the trade."""


class SignatureInvalid(DomainError, code="signature_invalid"):
    """No secret in force verifies the webhook."""


class TimestampStale(DomainError, code="timestamp_stale"):
    """The webhook's timestamp is malformed or too far from now."""


class KindNotAllowed(DomainError, code="kind_not_allowed"):
    """The source may not send this kind of event."""


class EventConflict(DomainError, code="event_conflict"):
    """The event id was used before with other fields."""


class PayinConflict(DomainError, code="payin_conflict"):
    """The bank transaction id was used before with other fields."""


class PayinAllocated(DomainError, code="payin_allocated"):
    """The pay-in was credited or allocated to another organization."""


class HeadersTooLarge(DomainError, code="headers_too_large"):
    """The headers are over their limits."""


class MethodNotAllowed(DomainError, code="method_not_allowed"):
    """The path does not support the method."""


class Overloaded(DomainError, code="overloaded"):
    """A bounded queue is full; nothing was begun."""


class Unavailable(DomainError, code="unavailable"):
    """A database, broker or colleague is out of reach; the outcome is unknown."""


class DeadlineExceeded(DomainError, code="deadline_exceeded"):
    """Time ran out; the outcome is unknown, never failed."""


class Internal(DomainError, code="internal"):
    """Something unexpected, masked; the request id leads to the details."""
