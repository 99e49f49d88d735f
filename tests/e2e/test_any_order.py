"""Quote, reject, transact, report, poll and expire in any order, by organizations short of money: the model agrees.

Two of a kind may be sent at once; then some order of them must explain every answer.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from poolctl.session import Session
from pools.ledger.v1 import ledger_pb2
from tests.e2e.databases import Databases
from tests.e2e.model import Model, Outcome, Quote
from tests.e2e.partners import PartnerFactory
from tests.e2e.world import POOL, SHORT_LIVED, Told, World, open_world, told, trade_of
from tests.waiting import eventually

T = TypeVar("T")

ORGANIZATIONS = 3
FUNDS = Decimal("60.00")
STATUSES = ("settled", "failed", "released", "returned")

edges = st.sampled_from(("rest", "grpc"))
who = st.integers(0, ORGANIZATIONS - 1)
keys = st.sampled_from(("order-1", "order-2", "order-3"))
"""Few, so that they are used again; a key nobody used comes as None."""
which = st.integers(0, 40)
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
        self.stock = self.wait(world.inventory())
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
        """Everyone has a trade and a quote, so that whichever rules a sequence is made of find something to act on."""
        for organization in range(ORGANIZATIONS):
            for cents in (2000, 3000):
                self.quote(organization, "grpc", cents)
            self._transact(organization, [("rest", "order-1", self.model.of(organization)[0].quote_id, POOL)])

    @rule(organization=who, edge=edges, cents=st.integers(100, 4000))
    def quote(self, organization: int, edge: str, cents: int) -> None:
        fiat = Decimal(cents).scaleb(-2)
        given = self.wait(self.world.quote(self.actors[organization], edge, POOL, fiat))
        self.model.quote(given, organization, fiat)

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
        # After a 503 the repeat finds that it was rejected.
        assert answer.code == expected.code or (not answer.first and answer.code == "quote_rejected")

    @rule(organization=who, calls=st.lists(transact, min_size=1, max_size=3), elsewhere=st.booleans())
    def transact_all_at_once(
        self, organization: int, calls: list[tuple[str, str | None, int]], elsewhere: bool
    ) -> None:
        """As its owner or a stranger, with a key used before or not; rarely under another pool's path."""
        pool_id = "EUR-USDT" if elsewhere and organization == 0 else POOL
        asked = [(edge, key or next(self.new_keys), self.pick(number).quote_id, pool_id) for edge, key, number in calls]
        self._transact(organization, asked)

    @rule(calls=st.lists(transact, min_size=1, max_size=3), number=which)
    def transact_by_its_owner(self, calls: list[tuple[str, str | None, int]], number: int) -> None:
        """One quote with one key or several, at once."""
        quote = self.pick(number)
        asked = [(edge, key or next(self.new_keys), quote.quote_id, quote.pool_id) for edge, key, _ in calls]
        self._transact(quote.owner, asked)

    def _transact(self, organization: int, asked: list[tuple[str, str, str, str]]) -> None:
        callers = self.actors[organization].callers
        self.times["transact"] += 1

        async def all_at_once() -> list[Told]:
            return list(
                await asyncio.gather(
                    *(
                        told(lambda call=call: callers[call[0]].transact(call[2], call[1], call[3]))  # type: ignore[misc]
                        for call in asked
                    )
                )
            )

        answers = self.wait(all_at_once())
        for order in itertools.permutations(range(len(asked))):
            model = copy.deepcopy(self.model)
            if all(explains(model, model.transact(organization, *asked[i][1:]), answers[i]) for i in order):
                self.model = model
                return
        outcomes = [copy.deepcopy(self.model).transact(organization, *call[1:]) for call in asked]
        raise AssertionError(f"no order explains {answers}; each by itself would be {outcomes}")

    @rule(number=which, statuses=st.lists(st.sampled_from(STATUSES), min_size=1, max_size=3), edge=edges)
    def report(self, number: int, statuses: list[str], edge: str) -> None:
        """One after the other, or at once; afterwards trade and account say what the model says."""
        quote = self.pick(number, self.traded())

        async def all_at_once() -> list[str]:
            return list(await asyncio.gather(*(self.world.report(quote, status) for status in statuses)))

        effects = self.wait(all_at_once())
        for order in itertools.permutations(range(len(statuses))):
            model = copy.deepcopy(self.model)
            if all(model.report(quote.quote_id, statuses[i]) == effects[i] for i in order):
                break
        else:
            raise AssertionError(f"no order of {statuses} explains {effects} of {quote}")
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
            self.wait(self._check_everything())

    async def _check_everything(self) -> None:
        for organization, actor in enumerate(self.actors):
            await self.world.check_account(self.model, organization, actor, "rest")
            await self._check_lists(organization)
        for quote in self.model.quotes.values():
            assert await self.world.status_of_quote(self.actors[quote.owner], "rest", quote.quote_id) == quote.status
            if quote.trade:
                await self._check_trade(quote)
            if quote.status == "active":
                await self.world.expire(quote.quote_id)
        books = await self.world.session.ledger.admin.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
        assert books.balanced
        await eventually(self._inventory_agrees, "inventory agrees")

    async def _check_lists(self, organization: int) -> None:
        trades, cursor = [], ""
        while True:
            query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            body = (await self.actors[organization].callers["rest"].list_trades(**query)).body
            trades += [(trade["quoteId"], trade["status"]) for trade in body["trades"]]
            cursor = body["nextCursor"]
            if not cursor:
                break
        expected = [(quote.quote_id, quote.trade.status) for quote in self.model.of(organization) if quote.trade]
        assert sorted(trades) == sorted(expected)

    async def _check_trade(self, quote: Quote) -> None:
        assert quote.trade is not None
        status, databases = quote.trade.status, self.world.databases
        legs = quote.legs()
        posted = {"settled": {"buy_debit": 1}, "returned": {"buy_debit": 1, "buy_refund": -1}}.get(status, {})
        expected = {(why, *account): sign * amount for why, sign in posted.items() for account, amount in legs.items()}
        assert await databases.legs_of_trade(quote.trade.trade_id) == expected
        hold = {"reserved": "open", "settled": "consumed", "returned": "consumed"}.get(status, "voided")
        assert await databases.hold_of_trade(quote.trade.trade_id) == hold

    async def _inventory_agrees(self) -> bool:
        now = await self.world.inventory()
        ours = [(quote.crypto, quote.trade.status) for quote in self.traded() if quote.trade]
        delivered = sum((crypto for crypto, status in ours if status == "settled"), Decimal(0))
        reserved = sum((crypto for crypto, status in ours if status == "reserved"), Decimal(0))
        changed = {name: now[name] - self.stock[name] for name in now}
        assert changed == {"total": -delivered, "held": 0, "committed": reserved}
        return True


def explains(model: Model, outcome: Outcome, given: Told) -> bool:
    """Whether the model's outcome is what was answered; a trade that is new to it gets its id."""
    if given.code != outcome.code:
        return False
    if outcome.code != "ok":
        return True
    shown, trade = trade_of(given.answer), model.quotes[outcome.trade_of].trade
    assert trade is not None
    trade.trade_id = trade.trade_id or shown["transactId"]
    as_first_given = (shown["transactId"], shown["quoteId"], shown["status"])
    if as_first_given != (trade.trade_id, outcome.trade_of, "reserved"):
        return False
    return given.answer.replayed == outcome.replayed or not given.first


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
