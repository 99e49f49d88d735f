"""The context each request, and each item of a batch, carries: who asks, until when, and as part of which trace."""

import math
import time
from contextvars import ContextVar
from typing import Final, NamedTuple

current_request_id: Final[ContextVar[str]] = ContextVar("current_request_id", default="")
"""The request being served, for log lines and spans; empty outside one."""


class CallContext(NamedTuple):
    """What one item brings with it, so that items of one batch may belong to different requests and organizations."""

    request_id: str
    organization_id: str
    mode: str
    """`test` or `live`."""
    traceparent: str = ""
    """W3C trace context of the operation that caused this item."""
    deadline: float = 0.0
    """When the caller stops waiting, in Unix seconds; 0 for never."""

    def remaining(self, margin: float = 0.0) -> float:
        """Seconds left until the deadline less `margin`, never below 0; infinite without a deadline."""
        if not self.deadline:
            return math.inf
        return max(0.0, self.deadline - margin - time.time())

    @property
    def expired(self) -> bool:
        """Whether the caller has stopped waiting. What has begun may still complete."""
        return bool(self.deadline) and time.time() >= self.deadline
