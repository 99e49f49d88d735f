"""Trying again what the database undid because of others, which leaves nothing behind."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from poolkit.database import Contended

Answer = TypeVar("Answer")

TRIES_MAX: Final = 3


async def when_contended_again(write: Callable[[], Awaitable[Answer]]) -> Answer:
    """Runs one transaction, at most three times: of two that lock in orders of their own, the loser goes again."""
    for _ in range(TRIES_MAX - 1):
        try:
            return await write()
        except Contended:
            continue
    return await write()
