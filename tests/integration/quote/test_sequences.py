"""Anything in any order: after every step inventory adds up to what quotes, trades, treasury and settlement say."""

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolkit.errors import DomainError
from quote.domain.inventory import Ending
from quote.domain.pools import Side
from quote.domain.quotes import Quote
from quote.store.consumptions import Attempt
from tests.integration.quote.desk import Desk

# Which of the quotes or attempts so far; taken modulo how many there are.
which = st.integers(0, 30)
steps = st.one_of(
    st.tuples(
        st.just("quote"), st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 400)), min_size=1, max_size=5)
    ),
    st.tuples(st.just("consume"), st.lists(which, min_size=1, max_size=4)),
    st.tuples(st.just("repeat"), st.lists(which, min_size=1, max_size=4)),
    st.tuples(st.just("reject"), which),
    st.tuples(st.just("expire"), which),
    st.tuples(st.just("sweep"), which),
    st.tuples(st.just("give_back"), st.lists(which, min_size=1, max_size=4)),
    st.tuples(st.just("end"), st.tuples(which, st.sampled_from(Ending))),
    st.tuples(st.just("move"), st.integers(-300, 300).filter(bool)),
)


class Story:
    """One sequence: the quotes and attempts it has made so far."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.quotes: list[Quote] = []
        self.attempts: list[Attempt] = []
        self.ended: dict[str, set[Ending]] = {}

    async def tell(self, step: str, details: object) -> None:
        await getattr(self, step)(details)
        await self.desk.assert_adds_up()

    async def quote(self, orders: list[tuple[Side, int]]) -> None:
        placed = [self.desk.order(f"{amount}.00", "EUR", side=side) for side, amount in orders]
        self.quotes += [answer for answer in await self.desk.place(placed) if isinstance(answer, Quote)]

    async def consume(self, picks: list[int]) -> None:
        attempts = [self.desk.attempt(self.quotes[pick % len(self.quotes)]) for pick in picks if self.quotes]
        self.attempts += attempts
        if attempts:
            answers = await self.desk.consume(*attempts)
            # A repeat is answered as the first time was.
            again = await self.desk.consume(*attempts)
            assert [kind(answer) for answer in again] == [kind(answer) for answer in answers]

    async def repeat(self, picks: list[int]) -> None:
        if self.attempts:
            await self.desk.consume(*(self.attempts[pick % len(self.attempts)] for pick in picks))

    async def reject(self, pick: int) -> None:
        if self.quotes:
            await self.desk.reject(self.quotes[pick % len(self.quotes)])

    async def expire(self, pick: int) -> None:
        if self.quotes:
            await self.desk.expire(self.quotes[pick % len(self.quotes)])

    async def sweep(self, _: int) -> None:
        await self.desk.sweep()

    async def give_back(self, picks: list[int]) -> None:
        if self.attempts:
            await self.desk.give_back(*(self.attempts[pick % len(self.attempts)] for pick in picks))

    async def end(self, details: tuple[int, Ending]) -> None:
        """What the trade service may tell: one first ending a trade that consumed, and a return of a settled one."""
        pick, ending = details
        if not self.attempts:
            return
        attempt = self.attempts[pick % len(self.attempts)]
        [answer] = await self.desk.consume(attempt)
        told = self.ended.setdefault(attempt.trade_id, set())
        first = told - {Ending.RETURNED}
        # A return may be told before the settlement it follows, never beside another ending.
        fits = first <= {ending} if ending is not Ending.RETURNED else first <= {Ending.SETTLED}
        if Ending.RETURNED in told and ending in (Ending.FAILED, Ending.RELEASED):
            fits = False
        if isinstance(answer, Quote) and fits:
            told.add(ending)
            await self.desk.end(attempt.trade_id, ending)

    async def move(self, amount: int) -> None:
        await self.desk.move(str(amount))


def kind(answer: Quote | DomainError) -> object:
    return answer if isinstance(answer, Quote) else answer.code


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=12, max_size=30), st.integers(0, 800))
async def test_inventory_adds_up_after_every_step(desk: Desk, story: list[tuple[str, object]], crypto: int) -> None:
    await desk.publish()
    await desk.move("500", "EUR")
    if crypto:
        await desk.move(str(crypto))
    teller = Story(desk)
    for step, details in story:
        await teller.tell(step, details)
    # Whatever happened: once everything has ended, nothing is promised any more.
    await desk.expire(*teller.quotes)
    await desk.sweep()
    for attempt in teller.attempts:
        [answer] = await desk.consume(attempt)
        if isinstance(answer, Quote) and not teller.ended.get(attempt.trade_id, set()) - {Ending.RETURNED}:
            ending = Ending.SETTLED if teller.ended.get(attempt.trade_id) else Ending.RELEASED
            await desk.end(attempt.trade_id, ending)
    for currency in ("USDT", "EUR"):
        row = await desk.stock(currency)
        assert (row.held, row.committed) == (0, 0)
        assert row.total >= Decimal(0)
    await desk.assert_adds_up()
