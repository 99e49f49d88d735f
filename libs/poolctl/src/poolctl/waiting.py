"""Owns waiting for something to become true in a stack, with a deadline and words for when it does not."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from poolctl.failure import CommandFailure

T = TypeVar("T")
_POLL_SECONDS = 0.01


async def until(look: Callable[[], Awaitable[T | None]], *, seconds: float, what: str) -> T:
    """Looks again and again until there is an answer; fails saying `what` did not come in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await look()
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            raise CommandFailure(f"{what} did not come within {seconds:.0f} s.")
        await asyncio.sleep(_POLL_SECONDS)
