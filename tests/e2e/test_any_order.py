"""Quote, reject, transact, report, poll and expire in any order, by organizations short of money: the model agrees.

Two of a kind may be sent at once; then some order of them must explain every answer.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from poolctl.session import Session
from tests.e2e.audit import check_everything, explains
from tests.e2e.databases import Databases
from tests.e2e.model import Model, Outcome, Quote
from tests.e2e.partners import PartnerFactory
from tests.e2e.world import POOL, SHORT_LIVED, Told, World, open_world, told
from tests.integration.gateway.calls import Answer

T = TypeVar("T")

ORGANIZATIONS = 3
FUNDS = Decimal("60.00")
STATUSES = ("settled", "failed", "released", "returned")

OTHER_POOL, REJECT = "EUR-USDT", "(reject)"
BESIDE = ("nothing", "elsewhere", "rejected")

edges = st.sampled_from(("rest", "grpc"))
who = st.integers(0, ORGANIZATIONS - 1)
keys = st.sampled_from(("order-1", "order-2", "order-3"))
"""Few, so that they are used again; a key nobody used comes as None."""
which = st.integers(0, 40)
reports = st.tuples(st.sampled_from(STATUSES), st.booleans())
transact = st.tuples(edges, st.one_of(keys, st.none()), which)


class AnyOrder(RuleBasedStateMachine):
    """One sequence, told to the stack and to the model."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.world = world
        self.loop = loop
        self.model = Model()
        self.times: Counter[str] = Counter()
        self.new_keys = (f"new-{number}" for number in itertools.count())
        self.actors = self.wait(self._actors())
        self.stock = self.wait(world.idle_inventory())
        world.posted.clear()
        for organization in range(ORGANIZATIONS):
            self.model.pay_in(organization, FUNDS)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Rules are plain functions in a thread of their own; everything awaits in the tests' loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(120)

    async def _actors(self) -> list[Any]:
        return list(await asyncio.gather(*(self.world.actor(FUNDS) for _ in range(ORGANIZATIONS))))

    def pick(self, number: int, quotes: Sequence[Quote] = ()) -> Quote:
        """One of the quotes, the latest more often."""
        known = quotes or list(self.model.quotes.values())
        return known[-1 - number % len(known)]

    def rare(self, what: str) -> bool:
        """Whether it may be done again: not oftener than quotes are transacted, whoever wins (so repeats are alike)."""
        return self.times[what] < self.times["transact"] - ORGANIZATIONS + 2

    def traded(self) -> list[Quote]:
        """Quotes that became trades."""
        return [quote for quote in self.model.quotes.values() if quote.trade]

    @initialize()
    def begin(self) -> None:
        """Everyone has a trade and a quote, so that whichever rules a sequence is made of find something to act on.

        One may sell, has sold something, and has another sale to accept.
        """
        for organization in range(ORGANIZATIONS):
            for cents in (2000, 3000):
                self.quote(organization, "grpc", cents)
            self._transact(organization, [("rest", "order-1", self.model.of(organization)[0].quote_id, POOL)])
        self.let_sell_or_no_longer(0, "rest")
        for micros in (20_000_000, 3_141_593):
            self.sale(0, "rest", micros)
        self._transact(0, [("grpc", "order-2", self.model.of(0)[-2].quote_id, POOL)])

    @rule(organization=who, edge=edges, cents=st.integers(100, 4000))
    def quote(self, organization: int, edge: str, cents: int) -> None:
        fiat = Decimal(cents).scaleb(-2)
        given = self.wait(self.world.quote(self.actors[organization], edge, POOL, fiat))
        self.model.quote(given, organization, fiat)

    @rule(organization=who, edge=edges, micros=st.integers(2_000_000, 40_000_000))
    def sale(self, organization: int, edge: str, micros: int) -> None:
        """Sold crypto, where that is enabled."""
        crypto = Decimal(micros).scaleb(-6)
        given = self.wait(self.world.sale(self.actors[organization], edge, crypto))
        if organization in self.model.sellers:
            assert isinstance(given, dict), given
            self.model.quote(given, organization, crypto, sale=True)
        else:
            assert given == "off_ramp_not_enabled"

    @precondition(lambda self: self.rare("entitle"))
    @rule(organization=who, edge=edges)
    def let_sell_or_no_longer(self, organization: int, edge: str) -> None:
        self.times["entitle"] += 1
        self.model.sellers ^= {organization}
        may_sell = organization in self.model.sellers
        self.wait(self.world.entitle(self.actors[organization], edge, may_sell=may_sell))

    @precondition(lambda self: self.rare("short-lived"))
    @rule(organization=who, edge=edges)
    def quote_that_is_over_at_once(self, organization: int, edge: str) -> None:
        fiat = Decimal("5.00")
        given = self.wait(self.world.quote(self.actors[organization], edge, SHORT_LIVED, fiat))
        self.model.quote(given, organization, fiat).expired = True
        self.times["short-lived"] += 1

    @rule(organization=who, edge=edges, number=which)
    def reject(self, organization: int, edge: str, number: int) -> None:
        quote = self.pick(number)
        answer = self.wait(told(lambda: self.actors[organization].callers[edge].reject_quote(quote.quote_id)))
        expected = self.model.reject(organization, quote.quote_id)
        assert explains(self.model, expected, answer), f"{answer} instead of {expected}"

    @rule(organization=who, calls=st.lists(transact, min_size=1, max_size=3), elsewhere=st.booleans())
    def transact_all_at_once(
        self, organization: int, calls: list[tuple[str, str | None, int]], elsewhere: bool
    ) -> None:
        """As its owner or a stranger, with a key used before or not; rarely under another pool's path."""
        pool_id = OTHER_POOL if elsewhere and organization == 0 else POOL
        asked = [(edge, key or next(self.new_keys), self.pick(number).quote_id, pool_id) for edge, key, number in calls]
        self._transact(organization, asked)

    @rule(calls=st.lists(transact, min_size=1, max_size=3), number=which, beside=st.sampled_from(BESIDE))
    def transact_by_its_owner(self, calls: list[tuple[str, str | None, int]], number: int, beside: str) -> None:
        """One quote with one key or several, at once; beside it under another pool's path, or rejected."""
        quote = self.pick(number)
        asked = [(edge, key or next(self.new_keys), quote.quote_id, quote.pool_id) for edge, key, _ in calls]
        if beside == "elsewhere":
            asked.append((*asked[0][:3], OTHER_POOL))
        # While the money for it is asked for in vain, a quote is consumed, and a reject would say so: not asked then.
        elif beside == "rejected" and self.model.affords(quote):
            asked.append((asked[0][0], REJECT, quote.quote_id, ""))
        self._transact(quote.owner, asked)

    def _transact(self, organization: int, asked: list[tuple[str, str, str, str]]) -> None:
        callers = self.actors[organization].callers
        self.times["transact"] += 1

        def ask(edge: str, key: str, quote_id: str, pool_id: str) -> Awaitable[Answer]:
            caller = callers[edge]
            return caller.reject_quote(quote_id) if key == REJECT else caller.transact(quote_id, key, pool_id)

        def expect(model: Model, key: str, quote_id: str, pool_id: str) -> Outcome:
            if key == REJECT:
                return model.reject(organization, quote_id)
            return model.transact(organization, key, quote_id, pool_id)

        async def all_at_once() -> list[Told]:
            return list(await asyncio.gather(*(told(partial(ask, *call)) for call in asked)))

        answers = self.wait(all_at_once())
        for order in itertools.permutations(range(len(asked))):
            model = copy.deepcopy(self.model)
            if all(explains(model, expect(model, *asked[i][1:]), answers[i]) for i in order):
                self.model = model
                return
        outcomes = [expect(copy.deepcopy(self.model), *call[1:]) for call in asked]
        raise AssertionError(f"no order explains {answers}; each by itself would be {outcomes}")

    @rule(number=which, reports=st.lists(reports, min_size=1, max_size=3), edge=edges)
    def report(self, number: int, reports: list[tuple[str, bool]], edge: str) -> None:
        """One or several at once, of the amount or another; afterwards trade and account say what the model says."""
        quote = self.pick(number, self.traded())

        async def all_at_once() -> list[str]:
            return list(
                await asyncio.gather(*(self.world.report(quote, status, exact=exact) for status, exact in reports))
            )

        effects = self.wait(all_at_once())
        for order in itertools.permutations(range(len(reports))):
            model = copy.deepcopy(self.model)
            if all(model.report(quote.quote_id, reports[i][0], exact=reports[i][1]) == effects[i] for i in order):
                break
        else:
            raise AssertionError(f"no order of {reports} explains {effects} of {quote}")
        self.model = model
        actor = self.actors[quote.owner]
        assert self.wait(self.world.poll(actor, edge, quote.quote_id)) == model.poll(quote.owner, quote.quote_id)
        self.wait(self.world.check_account(model, quote.owner, actor, edge))

    @precondition(lambda self: self.world.posted)
    @rule(number=which)
    def report_the_very_same_again(self, number: int) -> None:
        events = list(self.world.posted)
        assert self.wait(self.world.post(events[-1 - number % len(events)]))["duplicate"] is True

    @rule(organization=who, edge=edges, number=which)
    def poll(self, organization: int, edge: str, number: int) -> None:
        quote_id = self.pick(number).quote_id
        found = self.wait(self.world.poll(self.actors[organization], edge, quote_id))
        assert found == self.model.poll(organization, quote_id)

    @precondition(lambda self: self.rare("expire"))
    @rule(edge=edges, number=which)
    def expire(self, edge: str, number: int) -> None:
        quote = self.pick(number)
        self.times["expire"] += 1
        self.wait(self.world.expire(quote.quote_id))
        quote.expired = True
        found = self.wait(self.world.status_of_quote(self.actors[quote.owner], edge, quote.quote_id))
        assert found == quote.status

    @precondition(lambda self: self.rare("pay in"))
    @rule(organization=who, edge=edges)
    def pay_in(self, organization: int, edge: str) -> None:
        self.times["pay in"] += 1
        actor = self.actors[organization]
        self.wait(self.world.pay_in(actor, Decimal("7.50")))
        self.model.pay_in(organization, Decimal("7.50"))
        self.wait(self.world.check_account(self.model, organization, actor, edge))

    def teardown(self) -> None:
        """Balances, holds, entries and inventory agree to the digit."""
        # Called too where a rule has failed, which is then what there is to tell.
        if sys.exc_info()[0] is None:
            self.wait(check_everything(self.world, self.model, self.actors, self.stock))


@pytest.fixture(scope="module")
async def world(session: Session, partners: PartnerFactory, databases: Databases) -> AsyncIterator[World]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        opened = await open_world(session, partners, databases, http)
        yield opened
        await opened.gateway.close()
        await opened.quote_database.close()


BRIEFLY = settings(
    derandomize=True,
    database=None,
    max_examples=4,
    stateful_step_count=20,
    deadline=None,
    # A sequence on a real stack is tried again in seconds, not in milliseconds: shrunk, it would take the whole night.
    phases=(Phase.generate,),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


async def in_any_order(world: World, how: settings) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(run_state_machine_as_test, lambda: AnyOrder(world, loop), settings=how)


async def test_any_order_of_calls_and_reports_is_answered_as_the_model_says(world: World) -> None:
    await in_any_order(world, BRIEFLY)


@pytest.mark.long
async def test_hundreds_of_long_sequences_are_answered_as_the_model_says(world: World) -> None:
    await in_any_order(world, settings(BRIEFLY, derandomize=False, max_examples=150, stateful_step_count=40))
