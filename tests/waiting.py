"""Waiting for a condition with a deadline, which is what tests do instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = ..., every_seconds: float = ...
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T | None], what: str, *, seconds: float = ..., every_seconds: float = ...
) -> T: ...
async def eventually(
    condition: Callable[[], Any], what: str, *, seconds: float = 20.0, every_seconds: float = 0.02
) -> Any:
    """Answers what the condition does as soon as that is true; fails, saying what did not come true, when time is up.

    A condition may be made of assertions: one that fails is tried again, and quoted when time is up.
    """
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() > deadline
        try:
            answer = condition()
            value = await answer if inspect.isawaitable(answer) else answer
        except AssertionError as failure:
            if late:
                raise AssertionError(f"{what}: not within {seconds} s\n{failure}") from None
        else:
            if value:
                return value
            if late:
                raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(every_seconds)
