"""Owns walking two ordered streams side by side, so that what is compared never has to fit into memory."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

L = TypeVar("L")
R = TypeVar("R")


async def merged(
    left: AsyncIterator[Sequence[L]],
    right: AsyncIterator[Sequence[R]],
    left_key: Callable[[L], str],
    right_key: Callable[[R], str],
) -> AsyncIterator[tuple[str, L | None, R | None]]:
    """Each key of either side once, with the rows of both; None where a side lacks it.

    Both come as pages, ordered by key, byte by byte, each key once.
    """
    lefts, rights = _rows(left), _rows(right)
    one, other = await anext(lefts, None), await anext(rights, None)
    while one is not None or other is not None:
        a = None if one is None else left_key(one)
        b = None if other is None else right_key(other)
        if b is None or (a is not None and a.encode() < b.encode()):
            yield str(a), one, None
            one = await anext(lefts, None)
        elif a is None or b.encode() < a.encode():
            yield b, None, other
            other = await anext(rights, None)
        else:
            yield a, one, other
            one, other = await anext(lefts, None), await anext(rights, None)


async def _rows(pages: AsyncIterator[Sequence[L]]) -> AsyncIterator[L]:
    async for page in pages:
        for row in page:
            yield row
