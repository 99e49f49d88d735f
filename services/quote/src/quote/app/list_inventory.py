"""The use case of listing inventory, page by page."""

from collections.abc import Sequence
from typing import Final

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from quote.domain.inventory import Inventory
from quote.store import inventory

_SEPARATOR: Final = "/"


async def list_inventory(database: Database, *, token: str, limit: int) -> Sequence[Inventory]:
    """Rows by pool and currency, from the one behind the token. Raises InvalidRequest for a token that is none."""
    pool_id, separator, currency = token.rpartition(_SEPARATOR)
    if (token and not separator) or "\x00" in token:
        raise InvalidRequest("it is no token of a page before.", field="page_token")
    return await inventory.list_inventory(database, after=(pool_id, currency), limit=limit)


def page_token(rows: Sequence[Inventory], *, limit: int) -> str:
    """Where the next page begins; empty on the last one."""
    return f"{rows[-1].pool_id}{_SEPARATOR}{rows[-1].currency}" if len(rows) == limit else ""
