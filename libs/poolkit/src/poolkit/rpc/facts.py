"""Owns how an owner's facts are asked for and streamed: by business date, in key order, a page a message."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date
from typing import Final, TypeVar

from poolkit.errors import InvalidRequest
from poolkit.rpc.batches import is_storable
from poolkit.rpc.pages import page_size

PAGE_FACTS: Final = 500
PAGE_FACTS_MAX: Final = 1_000

Fact = TypeVar("Fact")
Key = TypeVar("Key")


def business_date(text: str) -> date:
    """The date, `YYYY-MM-DD` and nothing else. Raises InvalidRequest."""
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        asked = None
    if asked is None or asked.isoformat() != text:
        raise InvalidRequest("it must be a date, YYYY-MM-DD.", field="business_date")
    return asked


def page_facts(asked: int) -> int:
    """How many facts a message has. Raises InvalidRequest when out of range."""
    return page_size(asked, default=PAGE_FACTS, largest=PAGE_FACTS_MAX)


def behind(text: str, *, field: str) -> str:
    """A key to go on behind. Raises InvalidRequest for what can be no id."""
    if not is_storable(text):
        raise InvalidRequest("it is no id; send the last one that arrived.", field=field)
    return text


async def pages(
    read: Callable[[Key, int], Awaitable[Sequence[Fact]]], key_of: Callable[[Fact], Key], *, after: Key, size: int
) -> AsyncIterator[Sequence[Fact]]:
    """Pages of facts in key order, each read when the one before has been taken, so that memory stays flat.

    A page is a statement of its own: no transaction stays open while a caller is slow.
    """
    while True:
        page = await read(after, size)
        if page:
            yield page
        if len(page) < size:
            return
        after = key_of(page[-1])
