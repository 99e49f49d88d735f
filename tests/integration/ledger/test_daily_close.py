"""The daily close finds exactly what is wrong about a date, and says what changed since it looked last."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest

from ledger.app.close.schedule import Schedule
from ledger.domain.close.kinds import Kind
from poolkit.errors import InvalidRequest, Unavailable
from poolkit.inbox import PoisonEvent
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import new_trade
from tests.integration.ledger.closing import PLANTS, SOLD, Day, open_day
from tests.integration.ledger.events import money, trade_event
from tests.integration.ledger.owners import DAY, SELL, terminal_event_id
from tests.waiting import eventually


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


@pytest.mark.long
@pytest.mark.parametrize("kind", PLANTS, ids=str)
async def test_each_kind_is_the_only_exception_of_a_day_that_is_clean_otherwise(day: Day, kind: Kind) -> None:
    await day.be_clean()
    ids = await PLANTS[kind](day)
    [found] = await day.exceptions((await day.close()).close)
    assert found.kind == kind
    assert ids.items() <= found.ids.known.items()


async def test_asking_again_makes_no_revision_and_what_was_mended_is_gone_in_the_next(day: Day) -> None:
    await day.be_clean()
    trade_id = (await PLANTS[Kind.TERMINAL_TRADE_WITHOUT_POSTING](day))["trade_id"]
    first = (await day.close()).close
    assert first.contents.kinds == {Kind.TERMINAL_TRADE_WITHOUT_POSTING: 1}
    again = await day.close()
    assert (again.created, again.close) == (False, first)
    assert await day.books.count("close_tellings") == 1

    # The event comes late, and keeps its date.
    await day.books.apply(trade_event(day.organization_id, trade_id, **SOLD))
    await day.owners.move_stock("100.000000")
    second = (await day.close()).close
    assert (second.revision, second.exception_count, second.matched_count) == (2, 0, first.matched_count + 1)
    assert second.changes is not None
    assert (second.changes.added, second.changes.removed) == (0, 1)
    assert (
        f"Removed terminal_trade_without_posting: organization_id {day.organization_id}, trade_id {trade_id}"
        in (second.changes.sentences[0])
    )
    matched = first.matched_count
    assert f"Matched trades: {matched} before, {matched + 1} now." in second.changes.sentences
    assert await day.reconciliation_state(trade_id) == "matched"


async def test_what_the_ledger_could_not_apply_is_listed_once_with_its_trade(day: Day) -> None:
    poison, parked, illegal = new_trade(), new_trade(), await day.buy("failed")
    with pytest.raises(PoisonEvent):
        await day.books.apply(trade_event(day.organization_id, poison, fee=money("-0.20", "EUR"), **SOLD))
    await day.owners.add_trade(poison, day.organization_id, SELL, "settled")
    await day.books.apply(trade_event(day.organization_id, parked, "returned", **SOLD))
    await day.owners.add_trade(parked, day.organization_id, SELL, "settled", "returned")
    refused = await day.owners.add_report(illegal, "settled", "107.904009", given_up="The trade has failed.")
    rows = await day.exceptions((await day.close()).close)
    listed = {(row.kind, row.ids.trade_id, row.ids.event_id or row.ids.webhook_id): row.description for row in rows}
    assert {key: words.partition(":")[0] for key, words in listed.items()} == {
        (
            Kind.EVENT_NOT_PROCESSED,
            poison,
            terminal_event_id(poison, "settled"),
        ): "The ledger could not apply the event",
        (Kind.EVENT_NOT_PROCESSED, parked, terminal_event_id(parked, "returned")): "The ledger keeps the event parked",
        (Kind.EVENT_NOT_PROCESSED, illegal, refused): "The report of settled was given up",
        (Kind.TERMINAL_TRADE_WITHOUT_POSTING, parked, terminal_event_id(parked, "settled")): (
            "The trade is settled, and the ledger has not received the event."
        ),
    }


async def test_what_ids_leave_unmatched_is_listed_with_candidates_and_never_matched(day: Day) -> None:
    trade_id = (await PLANTS[Kind.RESERVED_TOO_LONG](day))["trade_id"]
    nobodys = new_trade()
    for amount in ("10.790400", "55.000000"):
        await day.owners.add_report(nobodys, "settled", amount, given_up="The trade does not exist.")
    close = (await day.close()).close
    rows = await day.exceptions(close)
    assert [row.kind for row in rows].count(Kind.EVENT_NOT_PROCESSED) == 2
    told = {row.ids.trade_id: [candidate.ids.trade_id for candidate in row.candidates] for row in rows}
    amounts = {sided.amount.units for row in rows if row.candidates for sided in row.amounts if sided.amount}
    assert told[trade_id] == [nobodys]
    assert 55_000000 not in amounts
    assert close.matched_count == 0


async def test_a_close_says_when_what_was_signed_before_was_signed_by_nobody_who_counts(day: Day) -> None:
    assert (await day.close()).close.exception_count == 0
    async with day.books.admin.transaction() as unit:
        await unit.execute("ALTER TABLE head_statements DISABLE TRIGGER append_only")
        await unit.execute("UPDATE head_statements SET signed_at = signed_at + interval '1 second'")
        await unit.commit()
    [found] = await day.exceptions((await day.close()).close)
    assert found.kind == Kind.CHAIN_HEAD_NOT_VERIFIED
    assert "statement 1, signed at the close of 2026-11-22, has no signature of a key that counts" in found.description


async def test_a_close_waits_for_what_is_not_published_and_says_so(day: Day) -> None:
    await day.be_clean()
    await day.owners.trade.execute(
        """
        INSERT INTO outbox (event_id, topic, key, type, request_id, traceparent, payload, business_date)
        VALUES ('evt', 'pools.trade.terminal.v1', 'org_1', 'pool.transaction.settled', 'req_1', '', '', $1)
        """,
        DAY,
    )
    with pytest.raises(Unavailable, match="trade has 1 events up to that date still to publish"):
        await day.close(wait_seconds_max=0.1)
    assert await day.books.count("closes") == 0
    waiting = asyncio.create_task(day.close(wait_seconds_max=30))

    async def says_so() -> bool:
        return any("waits: trade has 1 events" in words for words in day.told)

    await eventually(says_so, "the close says what it waits for")
    await day.owners.trade.execute("UPDATE outbox SET published_at = now()")
    assert (await waiting).created
    with pytest.raises(InvalidRequest, match="has not begun"):
        await day.close(date(2999, 1, 1))


async def test_the_schedule_closes_what_was_missed_and_what_something_came_late_to(day: Day) -> None:
    await day.be_clean()
    # Just late enough for the date to be the last one that is over.
    delay = datetime.now(UTC) - datetime(2026, 11, 23, 1, tzinfo=UTC)
    schedule = Schedule(day.books.database, day.run, delay_seconds=delay.total_seconds(), look_seconds=60)
    assert await schedule.look() == [DAY]
    assert await schedule.look() == []
    await day.pay_in(day.organization_id)
    assert await schedule.look() == [DAY]
    assert await schedule.look() == []
    newest = (await day.close()).close
    assert (newest.revision, newest.requested_by, newest.contents.payins) == (
        2,
        "schedule",
        [["EUR", 2, 2000_00, 0, 0]],
    )
