"""Reproducible: the stored bytes in their stored order give the same ledger again, to the last byte."""

import random

import pytest

from ledger.app.replay import replay
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, hold_request, new_trade, open_books, snapshot
from tests.integration.ledger.events import allocation, payin, top_up, trade_event


@pytest.mark.parametrize("seed", [1, 2])
async def test_replayed_events_give_the_same_ledger_to_the_last_byte(
    books: Books, postgres: RunningPostgres, seed: int
) -> None:
    chance = random.Random(seed)
    organizations = [f"org_{number}" for number in range(6)]
    events = [top_up()]
    for organization in organizations:
        credited = payin("unallocated")
        events += [payin(organization, "2000.00"), credited, allocation(organization, credited)]
        for status in ("settled", "failed", "released", "returned", "sold", "unsold"):
            trade = new_trade()
            await books.place(hold_request(organization, trade, gated=False))
            side = types_pb2.SIDE_OFF_RAMP if "sold" in status else types_pb2.SIDE_ON_RAMP
            if status in {"returned", "sold", "unsold"}:
                events.append(trade_event(organization, trade, side=side))
            if status in {"returned", "unsold"}:
                events.append(trade_event(organization, trade, "returned", side=side))
            elif status != "sold":
                events.append(trade_event(organization, trade, status))
    # Out of order, some twice, in batches of any size, some of which end without a commit.
    chance.shuffle(events)
    events += chance.sample(events, 20)
    while events:
        size = chance.randint(1, 9)
        await books.apply(*events[:size])
        events = events[size:]
    await books.assert_adds_up()
    assert await books.count("inbox", "state <> 'applied'") == 0

    async with open_books(postgres) as rebuilt:
        count = await replay(books.database, rebuilt.apply_events, rebuilt.decode)
        assert count == await books.count("inbox")
        original, again = await snapshot(books.admin), await snapshot(rebuilt.admin)
        for what, rows in original.items():
            assert rows
            assert again[what] == rows, what
        await rebuilt.assert_adds_up()
