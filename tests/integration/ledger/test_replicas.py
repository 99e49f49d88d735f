"""Several replicas apply the same events at once: one effect each, and no chain forks."""

import asyncio

import asyncpg
import pytest

from poolkit.errors import Unavailable
from poolkit.inbox import ReceivedEvent
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import allocation, payin, top_up, trade_event


async def keep_applying(replica: Books, batches: list[list[ReceivedEvent]]) -> None:
    """As a consumer does: the same batch again after whatever passes."""
    for batch in batches:
        while True:
            try:
                await replica.apply(*batch)
            except Unavailable:
                continue
            break


async def test_replicas_that_apply_the_same_events_fork_no_chain(books: Books) -> None:
    organizations = [f"org_{number}" for number in range(5)]
    credited = [payin("unallocated") for _ in organizations]
    events = [payin(organization) for organization in organizations] + credited
    for organization, unallocated in zip(organizations, credited, strict=True):
        trades = [new_trade() for _ in range(12)]
        events += [trade_event(organization, trade) for trade in trades]
        events += [trade_event(organization, trade, "returned") for trade in trades[:4]]
        events.append(allocation(organization, unallocated))
    events += [top_up() for _ in range(5)]

    # Each replica sees all events, in an order and in batches of its own.
    replicas = [Books(books.database, books.admin) for _ in range(3)]
    orders = [events, events[::-1], events[40:] + events[:40]]
    await asyncio.gather(
        *(
            keep_applying(replica, [order[start : start + size] for start in range(0, len(order), size)])
            for replica, order, size in zip(replicas, orders, (7, 16, 1), strict=True)
        )
    )
    assert await books.count("inbox", "state = 'applied'") == len(events)
    assert await books.count("inbox", "state <> 'applied'") == 0
    for organization in organizations:
        assert (await books.balance(organization)).posted == 2000 - 12 * 100 + 4 * 100
    assert await books.count("accounts", "kind IN ('suspense', 'clearing') AND balance <> 0") == 0
    await books.assert_adds_up()


async def test_chain_forked_by_hand_is_refused_by_the_database(books: Books) -> None:
    await books.apply(top_up())
    # A replica that lost its locks without noticing would write the same sequence once more.
    await books.admin.execute("UPDATE chain_heads SET sequence = 0")
    with pytest.raises(asyncpg.UniqueViolationError, match="transactions_organization_id_sequence_key"):
        await books.apply(top_up())
    assert await books.count("transactions") == 1
