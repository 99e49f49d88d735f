"""Pages of lists that colleagues ask for: how many rows, and where the next page begins."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from poolkit.errors import InvalidRequest

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 100

Row = TypeVar("Row")


def page_size(asked: int, *, default: int = PAGE_SIZE, largest: int = PAGE_SIZE_MAX) -> int:
    """How many rows a page has. Raises InvalidRequest for more than the largest."""
    if not 0 <= asked <= largest:
        raise InvalidRequest(f"it must be 1 to {largest}, not {asked}.", field="page_size")
    return asked or default


def page_of(rows: Sequence[Row], size: int, id_of: Callable[[Row], str]) -> tuple[Sequence[Row], str]:
    """The page, and the token of the next one where a row more than the page was found."""
    page = rows[:size]
    return page, id_of(page[-1]) if len(rows) > size else ""
