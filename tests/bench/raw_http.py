"""An HTTP client that costs next to nothing, so that it is the server that is busy: requests go out as bytes made once.

Knows only what the servers measured here answer: 200, with a length.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlsplit

IDLE_SECONDS_MAX = 2.0
"""A connection idle for longer is not used again: the server may be about to close it."""

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def request(method: str, path: str, key: str, body: Any = None, *fields: str) -> bytes:
    """The bytes of a request; `fields` are whole header lines."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {key}", *fields]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.closed = False
        """A server closes what was idle for long."""
        self.idle_since = 0.0
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, content = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        if length is None or len(content) < int(length[1]) or self._answer is None:
            return
        answer, self._received = self._answer, b""
        if head.startswith(b"HTTP/1.1 200"):
            answer.set_result(content)
        else:
            answer.set_exception(RuntimeError(f"answered {head!r} {content!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    def send(self, sent: bytes) -> asyncio.Future[bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(sent)
        return self._answer

    def close(self) -> None:
        self._transport.close()


class RawHttp:
    """As many connections as calls were ever in flight, to one server."""

    def __init__(self, base: str) -> None:
        address = urlsplit(base)
        self._host, self._port = address.hostname, address.port
        self._free: list[_Connection] = []

    async def send(self, sent: bytes) -> bytes:
        """The body of the answer. Raises RuntimeError for any other answer than 200, OSError for none."""
        loop = asyncio.get_running_loop()
        connection = self._fresh(loop.time())
        if connection is None:
            _, connection = await loop.create_connection(_Connection, self._host, self._port)
        content = await connection.send(sent)
        connection.idle_since = loop.time()
        self._free.append(connection)
        return content

    def _fresh(self, now: float) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if not connection.closed and now - connection.idle_since <= IDLE_SECONDS_MAX:
                return connection
            connection.close()
        return None

    def close(self) -> None:
        """Closes every connection."""
        for connection in self._free:
            connection.close()
