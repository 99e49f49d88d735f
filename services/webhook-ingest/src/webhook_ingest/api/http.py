"""The way in for providers and banks: `POST /v1/webhooks/{source}`, its limits, and its errors as bodies."""

import asyncio
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from poolkit.context import current_request_id
from poolkit.errors import DomainError, Internal, InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from poolkit.http.errors import error_body
from poolkit.http.types import Receive, Refuse, Scope, Send, whole_answer
from webhook_ingest.api.bodies import ReceivedBody, encode
from webhook_ingest.app.intake import Intake, Posted

BODY_BYTES_MAX: Final = 64 * 1024
BODY_SECONDS_MAX: Final = 10.0
"""How long a body may take to arrive: whoever is slower holds a connection for nothing."""

_JSON: Final = (b"content-type", b"application/json")

log = structlog.get_logger("webhook_ingest.http")


class WebhookEndpoint:
    """One posted webhook: reads it within limits and answers when it is durable. An ASGI application of its own."""

    __name__ = "ReceiveWebhook"

    def __init__(self, intake: Intake, documentation_url: str) -> None:
        self._intake = intake
        self._documentation_url = documentation_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        try:
            posted = Posted(
                source=scope["path_params"]["source"],
                headers=headers,
                body=await _read(headers, receive),
                request_id=current_request_id.get(),
                traceparent=_header(headers, b"traceparent"),
            )
            receipt = await self._intake.take(posted)
        except DomainError as error:
            await _send_error(send, error, self._documentation_url)
        except Exception as error:
            log.error("webhook_not_taken", exc_info=error)
            await _send_error(send, Internal(), self._documentation_url)
        else:
            await _send(send, 200, encode(ReceivedBody(receipt.webhook_id, receipt.duplicate)))


def application(intake: Intake, documentation_url: str) -> Starlette:
    """The HTTP application. `poolkit.http` surrounds it with request ids, metrics and limits on headers."""
    endpoint = WebhookEndpoint(intake, documentation_url)

    async def unrouted(_request: Request, error: Exception) -> Response:
        """What the router answers by itself: a path or a method that does not exist."""
        assert isinstance(error, HTTPException)
        refusal: DomainError = MethodNotAllowed() if error.status_code == 405 else NotFound("path")
        body = encode(error_body(refusal, current_request_id.get(), documentation_url))
        return Response(body, refusal.reason.http_status, dict(error.headers or {}), "application/json")

    return Starlette(
        routes=[Route("/v1/webhooks/{source}", endpoint, methods=["POST"])],
        exception_handlers={HTTPException: unrouted},
    )


def refusing(documentation_url: str) -> Refuse:
    """What answers requests that the application is not given, since they cannot be read or have too large a head."""

    async def refuse(error: DomainError, _scope: Scope, send: Send) -> None:
        await _send_error(send, error, documentation_url)

    return refuse


async def _read(headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """The raw body. Raises RequestTooLarge as soon as that shows, InvalidRequest when it does not arrive in time."""
    length = _header(headers, b"content-length")
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise RequestTooLarge
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await _gather(receive)
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {BODY_SECONDS_MAX:.0f} s; send it again.") from None


async def _gather(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The connection ended before the body did; send it again.")
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes > BODY_BYTES_MAX:
            raise RequestTooLarge
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _header(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str:
    for name, value in headers:
        if name == wanted:
            return value.decode("latin-1")
    return ""


async def _send_error(send: Send, error: DomainError, documentation_url: str) -> None:
    request_id = current_request_id.get()
    retry = ((b"retry-after", str(error.retry_after_seconds).encode()),) if error.retry_after_seconds else ()
    body = encode(error_body(error, request_id, documentation_url))
    await _send(send, error.reason.http_status, body, *retry)


async def _send(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send(whole_answer(status, (_JSON, *headers), body))
