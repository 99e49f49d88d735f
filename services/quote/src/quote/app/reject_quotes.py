"""The use case of rejecting quotes: compare and swap, inventory freed once."""

from collections.abc import Collection, Sequence

from poolkit.database import Database
from poolkit.errors import DomainError, QuoteRejected, Unavailable
from quote.app.contention import TRIES_MAX, when_contended_again
from quote.app.read_quotes import NamedQuote
from quote.domain.quotes import Quote, refuse_rejection
from quote.store import holds, quotes

Key = tuple[str, str]
Answer = Quote | DomainError


async def reject_quotes(database: Database, named: Sequence[NamedQuote]) -> list[Answer]:
    """Rejects each quote that is active; a second time, also within the batch, is quote_rejected."""
    answers: dict[Key, Answer] = {}
    waiting = {_key(item): item for item in reversed(named)}
    for _ in range(TRIES_MAX):
        if not waiting:
            break
        answers |= await _reject(database, waiting.values())
        # Still active although it was not to be had: given back by a trade in between.
        waiting = {key: item for key, item in waiting.items() if key not in answers}
    told: set[Key] = set()
    results = []
    for item in named:
        key = _key(item)
        answer = answers.get(key) or Unavailable()
        results.append(QuoteRejected() if key in told and isinstance(answer, Quote) else answer)
        told.add(key)
    return results


async def _reject(database: Database, named: Collection[NamedQuote]) -> dict[Key, Answer]:
    """One statement for what is active; what was not is explained by what it is."""
    asked = [(item.quote_id, item.context) for item in named]
    rejected = await when_contended_again(lambda: holds.reject(database, asked))
    answers: dict[Key, Answer] = {(quote.organization_id, quote.quote_id): quote for quote in rejected.values()}
    rest = [item for item in named if _key(item) not in answers]
    if rest:
        found = await quotes.read(database, [item.quote_id for item in rest])
        for item in rest:
            refused = refuse_rejection(found.get(item.quote_id), item.context.organization_id)
            if refused is not None:
                answers[_key(item)] = refused
    return answers


def _key(item: NamedQuote) -> Key:
    return item.context.organization_id, item.quote_id
