"""What surrounds every HTTP request served: its ids, deadline and trace on the way in, its metrics on the way out."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from poolkit.context import current_request_id
from poolkit.errors import DomainError, HeadersTooLarge, InvalidRequest
from poolkit.http.errors import send_error
from poolkit.http.types import App, Message, Receive, Refuse, Scope, Send, whole_answer
from poolkit.ids import accept_request_id
from poolkit.rpc.deadlines import current_deadline
from poolkit.telemetry.metrics import HTTP_SERVER_DURATION
from poolkit.telemetry.spans import Span
from poolkit.telemetry.tracing import enter_call

HEADERS_MAX: Final = 100
HEADER_BYTES_MAX: Final = 32 * 1024
PATH_BYTES_MAX: Final = 1024
QUERY_BYTES_MAX: Final = 4096
READY_PATH: Final = b"/ready"
"""What a load balancer asks: 200 while this replica is ready for work, 503 while it is not or is about to stop."""


class Surroundings:
    """An ASGI application around another. Its requests come from strangers: trace context from outside is not adopted.

    One whose head is too large is answered by `refuse`, and the application never sees it.
    `draining` makes every answer the last one on its connection, so that clients move on before the port closes.
    """

    def __init__(
        self,
        app: App,
        *,
        deadline_seconds: float,
        is_ready: Callable[[], bool] = lambda: True,
        refuse: Refuse = send_error,
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._is_ready = is_ready
        self._deadline_seconds = deadline_seconds
        self.draining = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["raw_path"] == READY_PATH:
            return self._tell_ready(scope, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        given_request_id = traceparent = ""
        header_bytes = 0
        for name, value in scope["headers"]:
            header_bytes += len(name) + len(value)
            if name == b"x-request-id":
                given_request_id = value.decode("latin-1")
            elif name == b"traceparent":
                traceparent = value.decode("latin-1")
        # uvicorn runs every request in a task of its own, so nothing has to be set back.
        request_id = accept_request_id(given_request_id)
        current_request_id.set(request_id)
        current_deadline.set(time.time() + self._deadline_seconds)
        status = 500

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status
            if "status" in message:
                status = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                headers.append((b"x-request-id", request_id.encode("ascii")))
                if self.draining:
                    headers.append((b"connection", b"close"))
            return send(message)

        try:
            too_large = _too_large(scope, header_bytes)
            if too_large is not None:
                await self._refuse(too_large, scope, answer)
                return
            traced = enter_call(scope["method"], traceparent, trusted=False)
            if traced is None:
                await self._app(scope, receive, answer)
                return
            with traced as span:
                await self._app(scope, receive, answer)
                _describe(span, scope, status)
        finally:
            HTTP_SERVER_DURATION.labels(_operation(scope), str(status)).observe(time.perf_counter() - started)

    async def _tell_ready(self, scope: Scope, send: Send) -> None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = accept_request_id(given.decode("latin-1")).encode("ascii")
        status = 200 if self._is_ready() and not self.draining else 503
        await send(whole_answer(status, [(b"cache-control", b"no-store"), (b"x-request-id", request_id)], b""))


def _operation(scope: Scope) -> str:
    # What the router found (a function, or something with a name), never the path: ids would make a metric a request.
    endpoint = scope.get("endpoint")
    name = getattr(endpoint, "name", None) or getattr(endpoint, "__name__", None)
    return name if isinstance(name, str) else "unrouted"


def _describe(span: Span, scope: Scope, status: int) -> None:
    """Source: OpenTelemetry semantic conventions, HTTP server spans."""
    span.set("http.request.method", scope["method"])
    span.set("http.response.status_code", status)
    if status >= 500:
        # So that a collector that keeps every error keeps it; what the caller did wrong is no error of ours.
        span.fail(str(status))
    # Known only now, when the application has looked for it.
    route = _route(scope)
    if route:
        span.rename(f"{scope['method']} {route}")
        span.set("http.route", route)


def _route(scope: Scope) -> str:
    """The template of the path that was found, as the table of operations or Starlette's router has it."""
    for found in (scope.get("endpoint"), scope.get("route")):
        path = getattr(found, "path", None)
        if isinstance(path, str):
            return path
    return ""


def _too_large(scope: Scope, header_bytes: int) -> DomainError | None:
    if len(scope["headers"]) > HEADERS_MAX or header_bytes > HEADER_BYTES_MAX:
        return HeadersTooLarge()
    if len(scope["raw_path"]) > PATH_BYTES_MAX:
        return InvalidRequest(f"The path is longer than {PATH_BYTES_MAX} bytes; call one that the reference names.")
    if len(scope["query_string"]) > QUERY_BYTES_MAX:
        return InvalidRequest(f"The query is longer than {QUERY_BYTES_MAX} bytes; send a shorter one.")
    return None
