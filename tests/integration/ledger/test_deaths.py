"""Appliers killed at every point of a batch: before the commit nothing of it is left, after it all of it."""

from ledger.app.apply_events import COMMITTED, TAKEN_IN, WRITTEN
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import payin, top_up, trade_event
from tests.integration.ledger.mortal import mortals


async def test_a_batch_that_is_killed_is_there_altogether_or_not_at_all(books: Books) -> None:
    organization, trade = "org_1", new_trade()
    before = [top_up(), payin(organization)]
    settled, returned = trade_event(organization, trade), trade_event(organization, trade, "returned")
    # The return waits for its settled, so that the batch writes more than one page.
    batch = [returned, payin(organization), settled]
    await books.apply(*before)
    await books.hold(organization, trade)
    state = await snapshot(books)
    async with mortals(books.url) as dying:
        for point in (TAKEN_IN, WRITTEN):
            assert await dying.apply(point, batch) == -9
            assert await snapshot(books) == state, point
        assert await dying.apply(COMMITTED, batch) == -9
        applied = await snapshot(books)
        assert applied != state
        assert (await books.balance(organization)).posted == 2000
        assert await books.count("inbox", "state = 'applied'") == len(before) + len(batch)
        # The offsets were not committed, so all of it comes again, to whoever is there next.
        assert await dying.apply(WRITTEN, batch) == 0
    await books.apply(*batch)
    assert await snapshot(books) == applied
    await books.assert_adds_up()


async def snapshot(books: Books) -> list[int]:
    """How many rows each table has that a batch writes to, and what was posted to all accounts."""
    tables = ("inbox", "transactions", "entries", "holds")
    open_holds = await books.count("holds", "state = 'open'")
    return [*[await books.count(table) for table in tables], open_holds, await books.count("accounts", "balance <> 0")]
