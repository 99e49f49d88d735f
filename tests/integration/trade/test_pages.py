"""Pages of trades: each trade once whatever comes meanwhile, and as little to read at the end as at the beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from tests.integration.databases import RunningPostgres
from tests.integration.trade.reserved import new_trades, reserve_trades
from tests.integration.trade.stocked import ORGANIZATION, fill, touched
from trade.app import read
from trade.domain.cursor import Position
from trade.store import trades
from trade.store.trades import TradeFilter

COUNT = 6000
PAGE = 50
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

FILTERS = {
    "no filter": TradeFilter(),
    "side": TradeFilter(side="on_ramp"),
    "status": TradeFilter(status="settled"),
    "side and status": TradeFilter(side="on_ramp", status="settled"),
    "a range": TradeFilter(created_after=FIRST_DAY, created_before=FIRST_DAY + timedelta(seconds=COUNT)),
    "a status in a range": TradeFilter(status="settled", created_after=FIRST_DAY),
}


@pytest.fixture
async def admin(postgres: RunningPostgres) -> AsyncIterator[tuple[asyncpg.Connection, Database]]:
    """The superuser and the runtime role of one database with very many trades."""
    url = await postgres.fresh_database("trade")
    connection = await asyncpg.connect(postgres.admin_url(url))
    database = Database(url, application_name="test")
    yield connection, database
    await database.close()
    await connection.close()


async def read_page(database: Database, matching: TradeFilter, before: Position | None) -> tuple[int, int]:
    """How many trades a page has, and how many rows it took to find them."""
    async with database.transaction() as unit:
        # As after a few executions: planned once, for whatever comes.
        await unit.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        already = await touched(unit)
        page = await trades.list_page(unit, ORGANIZATION, before=before, matching=matching, limit=PAGE)
        return len(page), await touched(unit) - already


async def test_the_last_page_reads_no_more_than_the_first_with_any_filter(
    admin: tuple[asyncpg.Connection, Database],
) -> None:
    connection, database = admin
    await fill(connection, COUNT)
    end = Position(FIRST_DAY + timedelta(seconds=PAGE), "pt_test_")
    for name, matching in FILTERS.items():
        for before in (None, end):
            shown, rows = await read_page(database, matching, before)
            assert shown == PAGE
            # A few of every other side or status, and each row of the answer once more.
            assert rows <= 3 * PAGE, (name, before)


async def test_what_is_rare_is_found_without_reading_what_lies_between(
    admin: tuple[asyncpg.Connection, Database],
) -> None:
    connection, database = admin
    await fill(connection, COUNT)
    rare = COUNT // 1000
    for matching, count in (
        (TradeFilter(side="off_ramp"), rare),
        (TradeFilter(status="failed"), rare),
        (TradeFilter(status="released"), 0),
        (TradeFilter(created_before=FIRST_DAY + timedelta(seconds=rare / 2)), rare - 1),
    ):
        shown, rows = await read_page(database, matching, None)
        assert shown == count
        assert rows <= 2 * count


async def walk(database: Database, matching: TradeFilter, size: int, organization_id: str = ORGANIZATION) -> list[str]:
    """Every trade of a list, page by page."""
    seen, token = [], ""
    while True:
        page = await read.list_trades(database, organization_id, size=size, token=token, matching=matching)
        assert len(page.trades) <= size
        seen += [trade.trade_id for trade in page.trades]
        token = page.next_token
        if not token:
            return seen


async def test_every_trade_is_shown_once_newest_first_also_those_of_one_moment(
    admin: tuple[asyncpg.Connection, Database],
) -> None:
    connection, database = admin
    await fill(connection, 40)
    await fill(connection, 0, "org_other")
    newest_first = [f"pt_test_{number:012}" for number in range(40, 0, -1)]
    # Odd sizes end between two trades of the same moment.
    for size in (1, 7, 39, 40, 41):
        assert await walk(database, TradeFilter(), size) == newest_first
    assert await walk(database, TradeFilter(side="on_ramp"), 7) == [t for t in newest_first if t != newest_first[-1]]
    assert await walk(database, TradeFilter(status="failed"), 7) == [newest_first[-2]]
    until = TradeFilter(
        created_before=FIRST_DAY + timedelta(seconds=10), created_after=FIRST_DAY + timedelta(seconds=5)
    )
    assert await walk(database, until, 3) == [f"pt_test_{number:012}" for number in range(19, 9, -1)]
    assert await walk(database, TradeFilter(), 7, "org_other") == []


async def test_a_cursor_of_another_list_or_with_any_character_changed_is_refused(database: Database) -> None:
    for one in new_trades(2):
        await reserve_trades(database, [one])
    organization_id, everything = one.organization_id, TradeFilter()
    token = (await read.list_trades(database, organization_id, size=1, token="", matching=everything)).next_token
    foreign = [("org_theirs", token, everything)]
    foreign += [(organization_id, token, matching) for matching in FILTERS.values() if matching != everything]
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        foreign.append((organization_id, changed, everything))
    for whose, which, matching in foreign:
        with pytest.raises(InvalidRequest):
            await read.list_trades(database, whose, size=9, token=which, matching=matching)
    assert (
        len((await read.list_trades(database, organization_id, size=9, token=token, matching=everything)).trades) == 1
    )
