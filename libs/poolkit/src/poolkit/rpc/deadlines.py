"""The deadline of the call being served: who calls on passes on what is left of it, less a margin."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

# Unix seconds; 0 for none. Set for each call served, and by `deadline` where work has a limit of its own.
current_deadline: ContextVar[float] = ContextVar("poolkit_deadline", default=0.0)

# What a hop keeps for itself: to notice the callee's silence and still answer in time.
MARGIN_SECONDS = 0.02


def shortened(timeout_seconds: float, margin_seconds: float = MARGIN_SECONDS) -> float:
    """The own timeout, or what the caller has left less the margin where that is shorter; never below 0."""
    until = current_deadline.get()
    if not until:
        return timeout_seconds
    left = until - time.time() - margin_seconds
    return timeout_seconds if timeout_seconds < left else max(left, 0.0)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Gives the block a deadline of its own, longer or shorter than the caller's: for work that outlives the caller."""
    token = current_deadline.set(time.time() + seconds)
    try:
        yield
    finally:
        current_deadline.reset(token)
