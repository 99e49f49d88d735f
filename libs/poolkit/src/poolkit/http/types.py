"""Names for what ASGI passes around."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from poolkit.errors import DomainError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Header = tuple[bytes, bytes]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[DomainError, Scope, Send], Awaitable[None]]
"""Answers a request that its application is not given. Of one that could not be read the scope has what was read:
`method` and `path`, or nothing."""

WHOLE_ANSWER: Final = "pools.response"
"""A type of message of our own, that `HttpServer` takes beside those of ASGI: an answer with its body, at once."""


def whole_answer(status: int, headers: Sequence[Header], body: bytes) -> Message:
    """The message that is the whole answer; its length is added to the headers."""
    length = (b"content-length", b"%d" % len(body))
    return {"type": WHOLE_ANSWER, "status": status, "headers": [*headers, length], "body": body}
