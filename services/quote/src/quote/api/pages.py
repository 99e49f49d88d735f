"""Owns how long a page of a list is."""

from typing import Final

from poolkit.errors import InvalidRequest

PAGE_SIZE_MAX: Final = 1_000


def page_size(asked: int, *, field: str = "page_size") -> int:
    """How many rows a page has; 0 asks for the most. Raises InvalidRequest when out of range."""
    if not 0 <= asked <= PAGE_SIZE_MAX:
        raise InvalidRequest(f"it must be 1 to {PAGE_SIZE_MAX}, not {asked}.", field=field)
    return asked or PAGE_SIZE_MAX
