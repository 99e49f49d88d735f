"""A connection of the HTTP server: uvicorn's, with an end to how much and how long one client may keep it busy."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import httptools
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from poolkit.context import current_request_id
from poolkit.errors import DomainError, HeadersTooLarge, InvalidRequest
from poolkit.http.errors import send_error
from poolkit.http.exchange import Exchange
from poolkit.http.types import Message, Refuse, Scope
from poolkit.ids import new_id

HEAD_BYTES_MAX: Final = 40 * 1024
"""Of a request line and headers that have not ended yet, beyond the first read. What has ended is judged by
`poolkit.http.surroundings`."""
REQUEST_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of all of a request, trailers included: far more than any application takes, so that it can say so itself."""

_CUT: Final = Counter("pools_http_connections_cut", "Connections ended because the client took too long", ["doing"])


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take. Looked at every `look_seconds` for all connections, which costs a request nothing."""

    head_seconds: float = 10.0
    """For the request line and headers, from the connection's beginning or the first byte after a pause."""
    request_seconds: float = 30.0
    """For those and the body."""
    answer_seconds: float = 60.0
    """For reading what was sent, once the system's own buffers are full."""
    idle_seconds: float = 75.0
    """Between requests, before the connection is closed in good order."""
    look_seconds: float = 1.0


class BoundedProtocol(HttpToolsProtocol):
    """httptools sets no bound to a head, and uvicorn's one timeout is for pauses between requests: any byte ends it."""

    patience = Patience()
    refuse: Refuse = staticmethod(send_error)
    """Answers, whole, what could not be read as a request."""
    url = b""
    """Of the request that is being read, as far as it came."""
    _refused = False
    _receiving_since = 0.0
    """0 between requests and while one that arrived is served."""
    _in_head = True
    _request_bytes = 0
    _unread_since = 0.0
    _idle_since = 0.0
    """0 before the first answer and while a request is there. A timer a request would cost more than its parsing."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._receiving_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Takes bytes, and refuses a head that does not end."""
        if not self._receiving_since:
            self._receiving_since = self.loop.time()
        self._idle_since = 0.0
        # Set back when a request begins or ends within these bytes.
        self._request_bytes += len(data)
        super().data_received(data)
        if self._request_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            if self._in_head:
                self._refuse(HeadersTooLarge())
            elif self._request_bytes > REQUEST_BYTES_MAX:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """A request's first byte; it may have come with the end of the one before."""
        super().on_message_begin()
        self._in_head = True
        self._request_bytes = 0
        if not self._receiving_since:
            self._receiving_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head has ended: begins to serve, or to wait for the answer to the request before."""
        self._in_head = False
        parser, scope = self.parser, self.scope
        before: RequestResponseCycle | None = self.cycle
        http_version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if http_version != "1.1":
            scope["http_version"] = http_version
        scope["raw_path"], scope["query_string"] = raw_path, _ = _parts(self.url)
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        self.cycle = exchange = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(exchange, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def on_response_complete(self) -> None:
        """All of the answer is on its way: what came meanwhile is next."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._receiving_since:
            self._idle_since = self.loop.time()

    def on_message_complete(self) -> None:
        """All of the request is there."""
        self.url = b""
        self._receiving_since = 0.0
        self._in_head = True
        self._request_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered like every other error."""
        self._refuse(InvalidRequest(f"{msg} Send HTTP/1.1 as RFC 9112 has it."))

    def look(self, now: float) -> None:
        """Cuts the client off if it has taken too long."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = 0.0
        elif not self._unread_since:
            self._unread_since = now
        elif now - self._unread_since > self.patience.answer_seconds:
            self._cut("reading an answer")
            return
        if not self._receiving_since:
            if self._idle_since and now - self._idle_since > self.patience.idle_seconds:
                self.transport.close()
            return
        spent = now - self._receiving_since
        if self._in_head and spent > self.patience.head_seconds:
            self._cut("sending headers")
        elif spent > self.patience.request_seconds:
            self._cut("sending a body")

    def _cut(self, doing: str) -> None:
        _CUT.labels(doing).inc()
        # An orderly close would wait for the client to read what is left, which may be for ever.
        self.transport.abort()

    def _refuse(self, error: DomainError) -> None:
        """Answers for an application that never sees the request, and ends the connection."""
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.more_body and not cycle.response_started:
                # It is the body of the request being served that cannot be read: its application says so.
                cycle.break_off()
            else:
                # An answer to the request before is under way; another in between would be taken for it.
                self.transport.abort()
        elif not self._refused:
            self._refused = True
            self.flow.pause_reading()
            task = self.loop.create_task(self._answer(error, self._read_so_far()))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _read_so_far(self) -> Scope:
        """Of a head that cannot be read to its end."""
        if not self.url:
            return {}
        path, _, _ = self.url.partition(b"?")
        return {"method": self.parser.get_method().decode("ascii"), "path": path.decode("latin-1")}

    async def _answer(self, error: DomainError, scope: Scope) -> None:
        request_id = new_id("req")
        current_request_id.set(request_id)

        async def send(message: Message) -> None:
            own = ((b"x-request-id", request_id.encode()), (b"connection", b"close"))
            lines = [b"%b: %b\r\n" % header for header in (*message["headers"], *own)]
            self.transport.write(STATUS_LINE[message["status"]] + b"".join(lines) + b"\r\n" + message["body"])

        await self.refuse(error, scope, send)
        self.transport.close()


def _parts(url: bytes) -> tuple[bytes, bytes]:
    """Path and query."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path, parsed.query or b""
