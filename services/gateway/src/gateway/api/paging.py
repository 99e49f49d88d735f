"""Pages of lists that colleagues ask for: where the next page begins."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")


def page_of(rows: Sequence[Row], size: int, id_of: Callable[[Row], str]) -> tuple[Sequence[Row], str]:
    """The page, and the token of the next one where a row more than the page was found."""
    page = rows[:size]
    return page, id_of(page[-1]) if len(rows) > size else ""
