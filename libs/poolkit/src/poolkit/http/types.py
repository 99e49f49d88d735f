"""Names for what ASGI passes around."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from poolkit.errors import DomainError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[DomainError, Send], Awaitable[None]]
"""Answers a request that its application is not given."""
