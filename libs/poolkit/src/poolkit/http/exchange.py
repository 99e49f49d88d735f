"""A request being served and its answer: uvicorn's own, but an answer that is whole goes out in one piece.

uvicorn looks at each header with two patterns and writes head and body apart, which costs a small answer more than
the endpoint that made it. What is not the common case (an answer in parts, HEAD, upgrades) stays uvicorn's.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from poolkit.http.types import WHOLE_ANSWER, Message

# What only uvicorn's way of answering knows to read.
_ITS_OWN: Final = frozenset({b"connection", b"transfer-encoding"})
_name: Final = itemgetter(0)


class Exchange(RequestResponseCycle):
    """Given to the application as `receive` and `send`."""

    _broken_off = False

    def break_off(self) -> None:
        """No more of the body can be read: the application is told that the client has gone, and may still answer."""
        self._broken_off = True
        self.keep_alive = False
        self.flow.pause_reading()
        self.message_event.set()

    async def receive(self) -> Any:
        """The body, as ASGI has it."""
        if self._broken_off:
            return {"type": "http.disconnect"}
        if self.more_body or self.waiting_for_100_continue or self.disconnected or self.response_complete:
            return await super().receive()
        # All of it has come.
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """The answer, whole or as ASGI has it."""
        if message["type"] != WHOLE_ANSWER:
            await super().send(message)
        elif self.response_started or self.flow.write_paused or self.disconnected or not self._answer(message):
            start: Any = {**message, "type": "http.response.start"}
            await super().send(start)
            await super().send({"type": "http.response.body", "body": message["body"], "more_body": False})

    def _answer(self, message: Message) -> bool:
        """Writes the whole answer, unless it is no common one."""
        headers = [*self.default_headers, *message["headers"]]
        if not self.keep_alive or self.scope["method"] == "HEAD" or not _ITS_OWN.isdisjoint(map(_name, headers)):
            return False
        head = b"".join((STATUS_LINE[message["status"]], b"\r\n".join(map(b": ".join, headers)), b"\r\n\r\n"))
        lines = len(headers) + 2
        if head.count(b"\r") != lines or head.count(b"\n") != lines:
            # A value that would end its header.
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(head + message["body"])
        self.message_event.set()
        self.on_response()
        return True
