"""The use case of pricing orders: firm quotes are written with what they hold, indicative ones are a price only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import DomainError, InvalidRequest, NotFound, TooManyActiveQuotes, Unavailable
from poolkit.ids import new_id
from quote.app.contention import when_contended_again
from quote.app.measures import QUOTES
from quote.domain.inventory import Grant, Want, allocate
from quote.domain.orders import Order, check_order, price_order
from quote.domain.pricing import Terms
from quote.domain.quotes import PricedOrder, Quote, UnavailableQuote, UnavailableReason
from quote.store import holds, inventory, quotes
from quote.store.pools import Offer, read_offers
from quote.store.quotes import NewQuote

RELEASED_AT_ONCE_MAX: Final = 1_000

Answer = Quote | UnavailableQuote | DomainError


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order and who places it."""

    context: CallContext
    order: Order


class _Batch:
    """The answers of one batch as they come in, by position."""

    def __init__(self, placed: Sequence[PlacedOrder], mode: str) -> None:
        self.placed = placed
        self.mode = mode
        self.answers: dict[int, Answer] = {}
        self.offers: dict[tuple[str, str], Offer] = {}
        self.waiting: dict[str, tuple[int, NewQuote]] = {}
        """Firm quotes that are priced and not yet written, by quote id."""

    def price(self, index: int) -> None:
        """Answers the order as far as it can be without writing."""
        context, order = self.placed[index].context, self.placed[index].order
        offer = self.offers.get((order.pool_id, order.tier))
        if offer is None:
            raise NotFound("pool")
        amount = check_order(order, offer.pool, self.mode)
        if offer.tier is None:
            raise InvalidRequest(f"this pool has no tier of this name: {order.tier!r}.", field="tier")
        if offer.rate is None:
            self.answers[index] = UnavailableQuote(order, offer.pool, UnavailableReason.RATE_UNAVAILABLE, offer.now)
            return
        terms = Terms.of(offer.pool, offer.tier, offer.rate)
        price = price_order(order, amount, offer.pool, terms)
        priced = PricedOrder(order, context.organization_id, offer.pool, offer.tier, offer.rate, price)
        if order.firm:
            quote_id = new_id("pq", self.mode)
            self.waiting[quote_id] = index, NewQuote(quote_id, context, priced)
        elif priced.inventory_amount > offer.free(priced.side):
            self.answers[index] = UnavailableQuote(order, offer.pool, UnavailableReason.POOL_DRY, offer.now)
        else:
            self.answers[index] = priced.quote("", offer.now, None)

    def written(self, made: Sequence[Quote]) -> None:
        """Answers what was written."""
        for quote in made:
            index, _ = self.waiting.pop(quote.quote_id)
            self.answers[index] = quote

    def refuse(self, new: NewQuote, grant: Grant) -> None:
        """Answers what did not fit."""
        index, _ = self.waiting.pop(new.quote_id)
        order, offer = self.placed[index].order, self.offers[new.priced.pool.pool_id, new.priced.tier.name]
        if grant is Grant.POOL_DRY:
            self.answers[index] = UnavailableQuote(order, offer.pool, UnavailableReason.POOL_DRY, offer.now)
        else:
            self.answers[index] = TooManyActiveQuotes()

    def give_up(self, error: Unavailable) -> None:
        """Answers what is neither written nor refused."""
        self.answers.update((index, error) for index, _ in self.waiting.values())
        self.waiting.clear()


async def create_quotes(database: Database, placed: Sequence[PlacedOrder], *, mode: str) -> list[Answer]:
    """Prices each order, in order; one that cannot be made fails alone. Not idempotent.

    Two round trips where everything fits, each a transaction of its own: what the pools offer, and one statement that
    counts, holds and writes. Only what did not fit is decided one by one, under locks.
    """
    batch = _Batch(placed, mode)
    batch.offers = await read_offers(database, {(item.order.pool_id, item.order.tier) for item in placed})
    for index in range(len(placed)):
        try:
            batch.price(index)
        except DomainError as error:
            batch.answers[index] = error
    if batch.waiting:
        new = [item for _, item in batch.waiting.values()]
        batch.written(await when_contended_again(lambda: quotes.create_if_all_fit(database, new)))
    if batch.waiting:
        try:
            await _create_what_fits(database, batch)
        except Unavailable as error:
            # Others of this batch are written by now, so it must not be tried again as a whole.
            batch.give_up(error)
    _count(batch)
    return [batch.answers[index] for index in range(len(placed))]


async def _create_what_fits(database: Database, batch: _Batch) -> None:
    """Decides the rest in the order they came, after freeing what expired quotes still hold in their pools."""
    new = [item for _, item in batch.waiting.values()]
    pool_ids = sorted({item.priced.pool.pool_id for item in new})
    await when_contended_again(lambda: holds.release_expired_in(database, pool_ids, RELEASED_AT_ONCE_MAX))
    grants, made = await when_contended_again(lambda: _allocate_and_create(database, new))
    batch.written(made)
    for item, grant in zip(new, grants, strict=True):
        if grant is not Grant.GRANTED:
            batch.refuse(item, grant)


async def _allocate_and_create(database: Database, new: Sequence[NewQuote]) -> tuple[list[Grant], list[Quote]]:
    wants = [
        Want(
            item.priced.organization_id,
            item.priced.tier.active_quotes_max,
            (item.priced.pool.pool_id, item.priced.inventory_currency),
            item.priced.inventory_amount,
        )
        for item in new
    ]
    async with database.transaction() as unit:
        active = await quotes.lock_and_count_active(unit, sorted({want.organization_id for want in wants}))
        stocks = await inventory.lock(unit, {want.stock for want in wants})
        grants = allocate(wants, active=active, free={stock: row.free for stock, row in stocks.items()})
        granted = [item for item, grant in zip(new, grants, strict=True) if grant is Grant.GRANTED]
        made = await quotes.create(unit, granted) if granted else []
        await unit.commit()
    return grants, made


def _count(batch: _Batch) -> None:
    counts = Counter(_series(item.order, batch.answers[index]) for index, item in enumerate(batch.placed))
    for series, count in counts.items():
        QUOTES.labels(*series).inc(count)


def _series(order: Order, answer: Answer) -> tuple[str, str, str]:
    kind = "firm" if order.firm else "indicative"
    if isinstance(answer, Quote):
        return answer.pool_id, kind, "available"
    if isinstance(answer, UnavailableQuote):
        return answer.pool.pool_id, kind, answer.reason.value
    # Nobody can make the number of series grow by inventing pools.
    return "", kind, answer.code
