"""What surrounds every HTTP request served: its ids, deadline and trace on the way in, its metrics on the way out."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from poolkit.context import current_request_id
from poolkit.ids import accept_request_id
from poolkit.rpc.deadlines import current_deadline
from poolkit.telemetry.metrics import HTTP_SERVER_DURATION
from poolkit.telemetry.tracing import enter_call

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS_MAX: Final = 100
HEADER_BYTES_MAX: Final = 32 * 1024


class Surroundings:
    """An ASGI application around another. Its requests come from strangers: trace context from outside is not adopted.

    `draining` makes every answer the last one on its connection, so that clients move on before the port closes.
    """

    def __init__(self, app: App, *, deadline_seconds: float) -> None:
        self._app = app
        self._deadline_seconds = deadline_seconds
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
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

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, request_id)
            await send(message)

        try:
            if len(scope["headers"]) > HEADERS_MAX or header_bytes > HEADER_BYTES_MAX:
                await _refuse_headers(answer)
                return
            traced = enter_call(f"{scope['method']} request", traceparent, trusted=False)
            if traced is None:
                await self._app(scope, receive, answer)
                return
            with traced as span:
                await self._app(scope, receive, answer)
                span.set("http.request.method", scope["method"])
                span.set("http.route", _operation(scope))
                span.set("http.response.status_code", status)
        finally:
            HTTP_SERVER_DURATION.labels(_operation(scope), str(status)).observe(time.perf_counter() - started)

    def _complete(self, message: Message, request_id: str) -> None:
        headers = list(message.get("headers", ()))
        if not any(name == b"x-request-id" for name, _ in headers):
            headers.append((b"x-request-id", request_id.encode("ascii")))
        if self.draining:
            headers.append((b"connection", b"close"))
        message["headers"] = headers


def _operation(scope: Scope) -> str:
    # What the router found (a function, or something with a name), never the path: ids would make a metric a request.
    endpoint = scope.get("endpoint")
    name = getattr(endpoint, "name", None) or getattr(endpoint, "__name__", None)
    return name if isinstance(name, str) else "unrouted"


async def _refuse_headers(send: Send) -> None:
    await send({"type": "http.response.start", "status": 431, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
