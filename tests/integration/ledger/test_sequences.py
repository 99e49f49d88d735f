"""Whatever happens in whatever order, the books add up."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolkit.inbox import PoisonEvent
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, hold_request, new_trade, open_books
from tests.integration.ledger.events import allocation, payin, trade_event

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("payin"), st.integers(0, 1), st.sampled_from(["0.01", "99.99", "350.00"])),
        st.tuples(st.just("allocated"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("hold"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("void"), st.integers(0, 5), st.none()),
        st.tuples(st.sampled_from(["settled", "failed", "released", "returned"]), st.integers(0, 5), st.booleans()),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
async def shared_books(postgres: RunningPostgres) -> AsyncIterator[Books]:
    """One ledger for all examples; each has organizations and trades of its own."""
    async with open_books(postgres) as opened:
        yield opened


@settings(max_examples=40)
@given(batches=st.lists(STEPS, min_size=1, max_size=4))
async def test_any_sequence_leaves_the_books_in_order(
    shared_books: Books, batches: list[list[tuple[str, int, object]]]
) -> None:
    books = shared_books
    trades = [new_trade() for _ in range(6)]
    organizations = [f"org_{trades[0]}_{number}" for number in range(2)]
    # The even trades are buys, the odd ones sales; each belongs to the same organization all the time.
    owners = [organizations[number // 3] for number in range(6)]
    sides = [types_pb2.SIDE_OFF_RAMP if number % 2 else types_pb2.SIDE_ON_RAMP for number in range(6)]
    for steps in batches:
        events = []
        for what, number, detail in steps:
            if what == "payin":
                events.append(payin(organizations[number], str(detail)))
            elif what == "allocated":
                credited = payin("unallocated", "10.00")
                events += [allocation(organizations[number], credited, "10.00"), credited][:: 1 if detail else -1]
            elif what == "hold":
                await books.place(hold_request(owners[number], trades[number], gated=bool(detail)))
            elif what == "void":
                await books.void(owners[number], trades[number])
            else:
                events += [trade_event(owners[number], trades[number], what, side=sides[number])] * (1 + bool(detail))
        with contextlib.suppress(PoisonEvent):
            await books.apply(*events)
    await books.assert_adds_up()
