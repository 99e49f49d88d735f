"""The daily close finds exactly what is wrong about a date, and says what changed since it looked last."""

from collections.abc import AsyncIterator

import pytest

from ledger.domain.close.kinds import Kind
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.closing import PLANTS, Day, open_day


@pytest.fixture
async def day(postgres: RunningPostgres) -> AsyncIterator[Day]:
    """A date, and who knows something about it."""
    async with open_day(postgres) as opened:
        yield opened


async def test_a_clean_day_has_no_exceptions_and_every_trade_is_matched(day: Day) -> None:
    trades = await day.be_clean()
    outcome = await day.close()
    assert await day.exceptions(outcome.close) == []
    assert (outcome.created, outcome.close.revision, outcome.close.provisional) == (True, 1, False)
    assert outcome.close.matched_count == len(trades)
    contents = outcome.close.contents
    assert contents.balanced
    assert contents.trades == [
        ["failed", "on_ramp", "EUR", "USDT", 1, 100_00, 20, 107_904009],
        ["released", "on_ramp", "EUR", "USDT", 1, 100_00, 20, 107_904009],
        ["returned", "on_ramp", "EUR", "USDT", 1, 100_00, 20, 107_904009],
        ["settled", "off_ramp", "EUR", "USDT", 1, 91_65, 19, 100_000000],
        ["settled", "on_ramp", "EUR", "USDT", 2, 200_00, 40, 215_808018],
    ]
    assert contents.payins == [["EUR", 1, 1000_00, 0, 0]]
    assert contents.inventory == [["EUR-USDT", "USDT", 4992_095991, 4992_095991]]
    assert [await day.reconciliation_state(trade_id) for trade_id in trades] == ["matched"] * len(trades)


async def test_each_kind_of_exception_is_found_alone_and_all_of_them_together(day: Day) -> None:
    await day.be_clean()
    previous = (await day.close()).close
    planted = []
    for kind, plant in PLANTS.items():
        ids = await plant(day)
        planted.append((kind, ids))
        close = (await day.close()).close
        assert close.revision == previous.revision + 1
        assert close.changes is not None
        assert (close.changes.added, close.changes.removed) == (1, 0), close.changes.sentences
        assert close.changes.sentences[0].startswith(f"Added {kind}: ")
        previous = close
    found = await day.exceptions(previous)
    assert sorted(row.kind for row in found) == sorted(PLANTS)
    assert previous.contents.kinds == dict.fromkeys(sorted(PLANTS), 1)
    rows = {row.kind: row for row in found}
    for kind, ids in planted:
        assert ids.items() <= rows[kind].ids.known.items()
        if "trade_id" in ids and kind not in {Kind.POSTING_WITHOUT_TERMINAL_TRADE, Kind.EVENT_NOT_PROCESSED}:
            assert await day.reconciliation_state(ids["trade_id"]) == "exception"
