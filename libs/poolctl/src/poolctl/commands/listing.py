"""Owns reading a list to its end, page by page."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

PAGE_SIZE: Final = 100


async def every_row(rpc: Callable[[Any], Awaitable[Any]], request: Any, rows: str) -> list[Any]:
    """All rows of a list RPC (AIP-158), in its order; `rows` is the field of the response that holds a page's."""
    request.page_size = PAGE_SIZE
    read: list[Any] = []
    while True:
        page = await rpc(request)
        read += getattr(page, rows)
        if not page.next_page_token:
            return read
        request.page_token = page.next_page_token
