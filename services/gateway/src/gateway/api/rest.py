"""The partner API over HTTP and JSON: routes, bodies, headers and errors, made from the table of operations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from gateway.api.decoding import decode_body, decode_fields, refuse_query
from gateway.api.edge import BODY_BYTES_MAX, Edge
from gateway.api.operations import Operation
from gateway.api.paths import Paths
from poolkit.errors import (
    DomainError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    RequestTooLarge,
)
from poolkit.http.errors import error_body
from poolkit.http.types import App, Header, Receive, Refuse, Scope, Send, whole_answer

IN_FLIGHT_MAX: Final = 4096
BODY_SECONDS_MAX: Final = 10.0
QUERY_FIELDS_MAX: Final = 32

_JSON: Final = (b"content-type", b"application/json")
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_ANY_ORIGIN: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"x-request-id, retry-after, ratelimit, ratelimit-policy"),
)
_PREFLIGHT: Final = (
    *_ANY_ORIGIN,
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"authorization, x-request-id, traceparent"),
    (b"access-control-max-age", b"86400"),
)
_encode = msgspec.json.Encoder().encode


def rest_app(
    edge: Edge, operations: Sequence[Operation], pages: Mapping[str, App], documentation_url: str
) -> tuple[App, Refuse]:
    """The application, and what answers the requests that it is not given.

    What finds the path does nothing else; everything else is the same for all operations.
    `pages` are there for GET without a key. `doc_url` in errors is a fragment of `documentation_url`.
    """
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.http_method] = operation
    load = _Load()
    endpoints = {path: _Endpoint(edge, methods, load, documentation_url) for path, methods in by_path.items()}
    endpoints |= {path: _Endpoint(edge, {}, load, documentation_url, page) for path, page in pages.items()}
    nowhere = _Endpoint(edge, {}, load, documentation_url)
    in_browsers = {(operation.http_method, operation.path) for operation in operations if operation.publishable_may}

    async def refuse(error: DomainError, scope: Scope, send: Send) -> None:
        cors = _ANY_ORIGIN if (scope.get("method"), scope.get("path")) in in_browsers else ()
        await nowhere.refuse(error, send, cors)

    return Paths(endpoints, otherwise=nowhere), refuse


class _Load:
    """Requests being served now."""

    __slots__ = ("in_flight",)

    def __init__(self) -> None:
        self.in_flight = 0


class _Endpoint:
    """One path with its operations by method, or with a page; nothing at all for a path that does not exist."""

    def __init__(
        self,
        edge: Edge,
        operations: dict[str, Operation],
        load: _Load,
        documentation_url: str,
        page: App | None = None,
    ) -> None:
        self._edge = edge
        self._fields = edge.rate_limit_fields
        self._operations = operations
        self._load = load
        self._documentation_url = documentation_url
        self._page = page
        self._open = frozenset(method for method, operation in operations.items() if operation.publishable_may)
        self._allow = b"GET" if page is not None else ", ".join(sorted(operations)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if self._page is not None and method == "GET":
            await self._page(scope, receive, send)
            return
        operation = self._operations.get(method)
        if method == "OPTIONS" and self._open:
            self._edge.answered(self._edge.begin("rest", "preflight"), 204)
            await send(whole_answer(204, _PREFLIGHT, b""))
            return
        cors = _ANY_ORIGIN if method in self._open else ()
        call = self._edge.begin("rest", operation.name if operation else "")
        load = self._load
        load.in_flight += 1
        try:
            if operation is None:
                raise self._edge.refused(call, MethodNotAllowed() if self._allow else NotFound("path"))
            if load.in_flight > IN_FLIGHT_MAX:
                raise self._edge.refused(call, Overloaded())
            # Shared HTTP metrics name a request by its endpoint.
            scope["endpoint"] = operation
            headers = dict(scope["headers"])
            idempotency_key = headers.get(b"idempotency-key", b"").decode("latin-1")
            call.idempotency_key = idempotency_key[:255]
            body = await self._edge.serve(
                call,
                operation,
                authorization=headers.get(b"authorization", b"").decode("latin-1"),
                # Sec-Fetch-Mode is no sign of a browser: Node's fetch sends it too.
                in_browser=b"origin" in headers or b"sec-fetch-site" in headers,
                idempotency_key=idempotency_key,
                read=_Reader(scope, receive),
                tell=lambda answer: _encode(operation.view(answer)),
            )
            given = (_JSON, *cors, *self._fields.headers(call.standing))
            await send(whole_answer(200, (*given, _REPLAYED) if call.replayed else given, body))
        except DomainError as error:
            await self._refuse(send, error, call.request_id, (*cors, *self._fields.headers(call.standing)))
        finally:
            load.in_flight -= 1

    async def refuse(self, error: DomainError, send: Send, given: Sequence[Header]) -> None:
        """Answers, and puts on record, what no operation is given: its head is too large, or cannot be read."""
        call = self._edge.begin("rest", "")
        await self._refuse(send, self._edge.refused(call, error), call.request_id, given)

    async def _refuse(self, send: Send, error: DomainError, request_id: str, given: Sequence[Header]) -> None:
        body = _encode(error_body(error, request_id, self._documentation_url))
        headers: list[Header] = [_JSON, *given]
        if error.retry_after_seconds:
            headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
        if isinstance(error, MethodNotAllowed):
            headers.append((b"allow", self._allow))
        await send(whole_answer(error.reason.http_status, headers, body))


class _Reader:
    """Reads what the request brought, once the gates have let it through."""

    __slots__ = ("_receive", "_scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive

    async def __call__(self, operation: Operation) -> tuple[str, Any]:
        message = await self._receive()
        if message["type"] == "http.request" and not message["more_body"]:
            body = message["body"]
            if len(body) > BODY_BYTES_MAX:
                raise RequestTooLarge
        else:
            body = await self._body_in_parts(message)
        subject = next(iter(self._scope["path_params"].values()), "")
        query = self._query()
        if operation.takes_body:
            refuse_query(query)
            return subject, decode_body(operation, body)
        if operation.http_method == "POST" and body.strip():
            # There is nothing to say; `{}` says it, too.
            decode_body(operation, body)
        return subject, decode_fields(operation, query)

    async def _body_in_parts(self, message: Any) -> bytes:
        """The whole body. Stops reading where it is too long, or comes too slowly."""
        parts = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                while message["type"] == "http.request":
                    parts += message["body"]
                    if len(parts) > BODY_BYTES_MAX:
                        raise RequestTooLarge
                    if not message["more_body"]:
                        return bytes(parts)
                    message = await self._receive()
        except TimeoutError:
            raise InvalidRequest(f"The body did not arrive within {BODY_SECONDS_MAX:.0f} s; send it again.") from None
        # The client has gone; nobody reads the answer.
        raise InvalidRequest("The body ended too early.")

    def _query(self) -> dict[str, object]:
        text = self._scope["query_string"]
        if not text:
            return {}
        try:
            pairs = parse_qsl(
                text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
            )
        except ValueError:
            raise InvalidRequest("The query cannot be read; send name=value pairs, percent-encoded.") from None
        fields: dict[str, object] = dict(pairs)
        if len(fields) != len(pairs):
            twice = next(name for name in fields if sum(name == other for other, _ in pairs) > 1)
            raise InvalidRequest("it is given twice; give it once.", field=twice[:100])
        return fields
