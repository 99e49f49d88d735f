"""The use cases that only read: quotes, pools, inventory."""

from collections.abc import Sequence
from dataclasses import dataclass

from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import DomainError, NotFound
from quote.domain.quotes import Quote
from quote.store import quotes


@dataclass(frozen=True, slots=True)
class NamedQuote:
    """A quote, named by who says it is theirs."""

    context: CallContext
    quote_id: str


async def get_quotes(database: Database, named: Sequence[NamedQuote]) -> list[Quote | DomainError]:
    """The quotes with the status they have now; another organization's is as absent as one that never was."""
    found = await quotes.read(database, list({item.quote_id for item in named}))
    return [_own(found.get(item.quote_id), item.context.organization_id) for item in named]


def _own(quote: Quote | None, organization_id: str) -> Quote | DomainError:
    return quote if quote is not None and quote.organization_id == organization_id else NotFound("quote")
