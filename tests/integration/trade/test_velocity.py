"""The rolling notional cap holds when drivers race for what is left of it, and who is over it gets everything back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from poolkit.database import Database
from poolkit.errors import DomainError, VelocityExceeded
from tests.integration.trade.reserved import relay_elsewhere
from tests.unit.trade.builders import TERMS, transact_request
from trade.app.recover import Recovery
from trade.app.saga import Saga
from trade.app.transact import Accepted, Answer, TransactQuotes
from trade.domain.intent import Attempt, TransactRequest
from trade.domain.trade import Terms
from trade.outbound.events import TradeEvents
from trade.store import intents

RACERS = 8


@dataclass(slots=True)
class Colleagues:
    """Quote and ledger where every quote costs 100.00 EUR and everyone can pay: what is left to decide is the cap."""

    terms: Terms = TERMS
    undone: dict[str, set[str]] = field(default_factory=lambda: {"quotes": set(), "holds": set()})

    async def consume(self, attempts: Sequence[Attempt], seconds: float) -> list[Terms | DomainError]:
        return [self.terms] * len(attempts)

    async def place(self, attempts: Sequence[tuple[Attempt, Terms]], seconds: float) -> list[DomainError | None]:
        return [None] * len(attempts)

    async def give_back(self, attempts: Sequence[Attempt], seconds: float) -> None:
        self.undone["quotes"].update(attempt.request.quote_id for attempt in attempts)

    async def void(self, attempts: Sequence[Attempt], seconds: float) -> None:
        self.undone["holds"].update(attempt.request.quote_id for attempt in attempts)


def saga_of(database: Database, colleagues: Colleagues) -> Saga:
    return Saga(database, relay_elsewhere(database), colleagues, colleagues, TradeEvents("test"))


def replica(database: Database, colleagues: Colleagues) -> TransactQuotes:
    """A trade service of its own on a database that it shares."""
    return TransactQuotes(database, saga_of(database, colleagues), "test")


def order(number: int, cap: str) -> TransactRequest:
    """One of several orders of the same organization."""
    request = transact_request(key=f"key-{number}", quote=f"pq_test_{number}")
    return replace(request, notional_caps={"EUR": cap})


def check_two_of_all(answers: Sequence[Answer], colleagues: Colleagues) -> None:
    """Two fit below 250.00; the others are refused, their quotes given back and their holds voided."""
    over = {f"pq_test_{number}" for number, answer in enumerate(answers) if isinstance(answer, VelocityExceeded)}
    assert sum(isinstance(answer, Accepted) for answer in answers) == 2
    assert len(over) == RACERS - 2
    assert colleagues.undone == {"quotes": over, "holds": over}


async def test_drivers_that_race_for_a_cap_never_exceed_it_together(database: Database) -> None:
    colleagues = Colleagues()
    replicas = [replica(database, colleagues) for _ in range(RACERS)]
    answers = await asyncio.gather(*(own([order(number, "250.00")]) for number, own in enumerate(replicas)))
    check_two_of_all([answer for [answer] in answers], colleagues)
    reserved = "SELECT sum(fiat_amount) FROM trades WHERE organization_id = 'org_1'"
    assert await database.fetch_value(reserved) == 200


async def test_earlier_items_of_a_batch_count_for_those_behind_them(database: Database) -> None:
    colleagues = Colleagues()
    answers = await replica(database, colleagues)([order(number, "250.00") for number in range(RACERS)])
    check_two_of_all(answers, colleagues)


async def test_an_order_over_the_cap_binds_nothing_and_may_come_again_when_the_cap_is_raised(
    database: Database,
) -> None:
    own = replica(database, Colleagues())
    [refused] = await own([order(1, "99.99")])
    assert isinstance(refused, VelocityExceeded)
    [accepted] = await own([order(1, "100.00")])
    assert isinstance(accepted, Accepted)
    assert not accepted.replayed


@pytest.mark.parametrize(
    ("since", "counts"),
    [
        ("status = 'settled'", True),
        ("status = 'returned'", True),
        ("status = 'failed'", False),
        ("status = 'released'", False),
        ("created_at = now() - interval '23 hours 59 minutes'", True),
        ("created_at = now() - interval '24 hours'", False),
    ],
)
async def test_a_trade_counts_for_a_day_unless_nothing_came_of_it(database: Database, since: str, counts: bool) -> None:
    own = replica(database, Colleagues())
    [first] = await own([order(1, "150.00")])
    assert isinstance(first, Accepted)
    await database.execute(f"UPDATE trades SET {since}")
    [second] = await own([order(2, "150.00")])
    assert isinstance(second, VelocityExceeded if counts else Accepted)


async def test_what_a_dead_driver_left_is_held_to_the_cap_it_was_admitted_under(database: Database) -> None:
    colleagues = Colleagues()
    for number, cap in ((1, "150.00"), (2, "150.00")):
        await intents.begin(database, [Attempt(f"pt_test_{number}", order(number, cap))])
        assert await Recovery(database, saga_of(database, colleagues), claim_seconds=0.0).recover() == 1
    states = await database.fetch("SELECT trade_id, state FROM intents ORDER BY trade_id")
    assert [tuple(row) for row in states] == [("pt_test_1", "reserved"), ("pt_test_2", "declined")]
    assert colleagues.undone == {"quotes": {"pq_test_2"}, "holds": {"pq_test_2"}}
