"""How many rows of a list one answer has: what every list RPC reads `page_size` with."""

from typing import Final

from poolkit.errors import InvalidRequest

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 100


def page_size(asked: int, *, default: int = PAGE_SIZE, largest: int = PAGE_SIZE_MAX) -> int:
    """How many rows to answer; 0 asks for `default`. Raises InvalidRequest for less, and for more than `largest`.

    Source: AIP-158, except that too much is refused rather than cut down.
    """
    if not 0 <= asked <= largest:
        raise InvalidRequest(f"it must be 1 to {largest}, not {asked}.", field="page_size")
    return asked or default
