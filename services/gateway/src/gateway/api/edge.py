"""What both edges do with a call, in the contract's order: key, gates, size and schema, use case, request log."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any, Final

import structlog
from prometheus_client import Counter

from gateway.api.operations import Operation
from gateway.api.rate_limit_fields import RateLimitFields
from gateway.app.access import Access, presented_key
from gateway.app.call import Call
from gateway.app.rate_limits import RateLimits
from gateway.app.request_log import RequestLog
from gateway.domain.gates import Caller, refusal_after_look_up, refusal_before_look_up
from poolkit.context import current_request_id
from poolkit.errors import (
    DeadlineExceeded,
    DomainError,
    IdempotencyKeyRequired,
    Internal,
    Overloaded,
    RateLimited,
    SecretKeyInBrowser,
    Unavailable,
)
from poolkit.rpc.deadlines import MARGIN_SECONDS, current_deadline
from poolkit.rpc.status import domain_error
from poolkit.telemetry.tracing import current_traceparent

log = structlog.get_logger(__name__)

BODY_BYTES_MAX: Final = 64 * 1024
HTTP_STATUS_CLIENT_GONE: Final = 499

_CALLS: Final = Counter(
    "pools_partner_calls",
    "Partner calls by operation, edge and outcome: `ok` or the reason",
    ["operation", "edge", "outcome"],
)
_SECURITY_EVENTS: Final = Counter(
    "pools_security_events", "Calls that tell of a key in the wrong hands, by reason", ["event"]
)
# Seen at zero from the start: an alert on an increase would miss the first of a series that did not exist before.
_SECRET_KEY_IN_BROWSER: Final = _SECURITY_EVENTS.labels(SecretKeyInBrowser.reason.code)
for _edge, _failure in product(("rest", "grpc"), (Internal, Unavailable, Overloaded, DeadlineExceeded)):
    _CALLS.labels("transact", _edge, _failure.reason.code)

Read = Callable[[Operation], Awaitable[tuple[str, Any]]]
"""Reads and decodes what the call brought: the id it is about, and the operation's request."""
Tell = Callable[[Any], bytes]
"""Writes the use case's answer as the edge sends it."""

# HTTP takes spaces off the ends of a header, so over gRPC a key has none there either: it is the same on both edges.
_IDEMPOTENCY_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")


class Edge:
    """The one way from an arrived call to its answer."""

    def __init__(
        self, *, access: Access, rate_limits: RateLimits, request_log: RequestLog, mode: str, deadline_seconds: float
    ) -> None:
        self._access = access
        self._rate_limits = rate_limits
        self.rate_limit_fields: Final = RateLimitFields(rate_limits.policies)
        self._request_log = request_log
        self._mode = mode
        self._deadline_seconds = deadline_seconds
        # Looking a child up by its labels takes a lock; there are few of them.
        self._counters: dict[tuple[str, str, str], Counter] = {}

    def begin(self, edge: str, operation: str, idempotency_key: str = "") -> Call:
        """The call that this task serves. Its deadline is the caller's own where that is shorter."""
        deadline = time.time() + self._deadline_seconds
        until = current_deadline.get()
        return Call(
            operation,
            edge,
            current_request_id.get(),
            current_traceparent(),
            self._mode,
            idempotency_key=idempotency_key[:255],
            deadline=min(deadline, until - MARGIN_SECONDS) if until else deadline,
        )

    async def serve(
        self,
        call: Call,
        operation: Operation,
        *,
        authorization: str,
        in_browser: bool,
        idempotency_key: str,
        read: Read,
        tell: Tell,
    ) -> bytes:
        """The use case's answer, told. Raises DomainError; either way the call's row goes to the request log."""
        try:
            await self._admit(call, operation, authorization=authorization, in_browser=in_browser)
            subject, request = await read(operation)
            if operation.needs_idempotency_key and _IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
                raise IdempotencyKeyRequired
            answer = tell(await operation.use_case(call, subject, request))
        except asyncio.CancelledError:
            self._end(call, "cancelled", HTTP_STATUS_CLIENT_GONE)
            raise
        except Exception as failure:
            error = domain_error(failure)
            if error is not failure:
                log.error("call_failed", operation=operation.name, exc_info=failure)
            self._end(call, error.reason.code, error.reason.http_status)
            if error is failure:
                raise
            raise error from failure
        self._end(call, "ok", 200)
        return answer

    async def _admit(self, call: Call, operation: Operation, *, authorization: str, in_browser: bool) -> None:
        key = presented_key(authorization)
        kind, mode = (key.kind, key.mode) if key is not None else (None, "")
        caller = Caller(kind, mode, self._mode, in_browser, operation.publishable_may)
        refusal = refusal_before_look_up(caller)
        if refusal is None and key is not None:
            call.principal = principal = await self._access.principal(key)
            refusal = refusal_after_look_up(Caller(*caller[:-1], principal))
        if refusal is None:
            self._count(call)
            return
        if isinstance(refusal, SecretKeyInBrowser) and call.principal is not None:
            _SECRET_KEY_IN_BROWSER.inc()
            log.warning(
                "security_event",
                event_name=refusal.code,
                key_id=call.principal.key_id,
                organization_id=call.principal.organization_id,
                operation=operation.name,
            )
        raise refusal

    def _count(self, call: Call) -> None:
        """Raises RateLimited. Comes last of the gates: who is refused by one of them has no bucket to spend."""
        if call.principal is None:
            return
        call.standing = standing = self._rate_limits.take(call.principal)
        if standing.retry_after_seconds:
            [left] = standing.left
            raise RateLimited(
                f"The limit of this {left.policy} is used up.", retry_after_seconds=standing.retry_after_seconds
            )

    def refused(self, call: Call, refusal: DomainError) -> DomainError:
        """The refusal of a call that came no further than its arrival, on record."""
        self._end(call, refusal.reason.code, refusal.reason.http_status)
        return refusal

    def answered(self, call: Call, http_status: int) -> None:
        """Puts a call on record that was answered without a use case."""
        self._end(call, "ok", http_status)

    def _end(self, call: Call, outcome: str, http_status: int) -> None:
        call.outcome = outcome
        call.http_status = http_status
        call.ended = time.perf_counter()
        self._request_log.append(call)
        labels = call.operation, call.edge, outcome
        counter = self._counters.get(labels)
        if counter is None:
            counter = self._counters[labels] = _CALLS.labels(*labels)
        counter.inc()
