"""Waiting for a condition with a deadline, which is what tests do instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = 20.0, every_seconds: float = 0.02
) -> None:
    """Returns as soon as the condition holds; fails, saying what did not come true, when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(every_seconds)
