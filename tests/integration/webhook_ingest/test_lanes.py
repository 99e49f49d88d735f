"""Protects processing: waited out, taken over, given up only on a no, and never done twice."""

import asyncio
from typing import Any

import pytest

from poolctl.stack.ports import free_port
from poolkit.ids import new_id
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.cable import Cable
from tests.integration.webhook_ingest.conftest import OpenDoor
from tests.integration.webhook_ingest.door import (
    Door,
    TradeDesk,
    close_trade_desk,
    open_trade_desk,
    settled,
)
from tests.waiting import eventually
from trade.domain.trade import Status
from webhook_ingest.app.lanes import PROBE_SIZE

RECEIVED = webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED
PROCESSED = webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED
EXCEPTION = webhook_ingest_pb2.WEBHOOK_STATE_EXCEPTION


async def test_an_outage_of_trade_is_waited_out_with_few_tries_and_nothing_is_lost(
    postgres: RunningPostgres, open_another: OpenDoor
) -> None:
    address, url = f"127.0.0.1:{free_port()}", await postgres.fresh_database("trade")
    desk = await open_trade_desk(url)
    trades = [await desk.reserve() for _ in range(100)]
    await close_trade_desk(desk)
    # A no would be final at once; silence is not a no.
    door = await open_another(trade_address=address, refusals_max=1, refused_age_seconds_max=0.001)
    answers = await asyncio.gather(*(door.post(settled(trade.trade_id)) for trade in trades))
    assert {answer.status for answer in answers} == {200}

    async def tried_in_vain() -> bool:
        rows = await door.rows("SELECT count(*) FROM webhook_attempts WHERE outcome = 'retry'")
        return int(rows[0][0]) >= 3 * PROBE_SIZE

    await eventually(tried_in_vain, "tried in vain")
    held = await door.rows("SELECT count(*) FILTER (WHERE given_up_at IS NULL), count(*) FROM unprocessed_webhooks")
    assert tuple(held[0]) == (100, 100)
    desk = await open_trade_desk(url, address)
    try:
        for trade in trades:
            await desk.until_status(trade.trade_id, Status.SETTLED)
        rows = await door.rows("SELECT outcome, count(*) FROM webhook_attempts GROUP BY 1")
        assert dict(map(tuple, rows))["processed"] == 100
        assert sum([await desk.told(trade.trade_id) == ["settled"] for trade in trades]) == 100
    finally:
        await close_trade_desk(desk)


async def test_a_trade_that_stays_unknown_is_an_exception_after_its_tries(
    desk: TradeDesk, open_another: OpenDoor
) -> None:
    door = await open_another(trade_address=desk.address, refusals_max=3)
    answer = await door.post(settled(new_id("pt", "test")))
    webhook = await door.until_state(answer.body["webhookId"], EXCEPTION)
    assert [attempt.outcome for attempt in webhook.attempts] == ["retry", "retry", "exception"]
    assert "No trade has this id" in webhook.attempts[-1].detail
    # It is kept and holds its event id.
    assert len(await door.rows("SELECT 1 FROM unprocessed_webhooks WHERE given_up_at IS NOT NULL")) == 1


async def test_a_trade_that_stays_unknown_is_an_exception_after_its_time(
    desk: TradeDesk, open_another: OpenDoor
) -> None:
    door = await open_another(trade_address=desk.address, refusals_max=1000, refused_age_seconds_max=0.2)
    answer = await door.post(settled(new_id("pt", "test")))
    webhook = await door.until_state(answer.body["webhookId"], EXCEPTION)
    assert 2 <= len(webhook.attempts) <= 10


async def test_two_replicas_share_the_work_and_double_none_of_it(desk: TradeDesk, open_another: OpenDoor) -> None:
    first = await open_another(trade_address=desk.address)
    second = await open_another(first.runtime.settings.database_url.get_secret_value(), **_same_key(first, desk))
    trades = [await desk.reserve() for _ in range(60)]
    reports = [settled(trade.trade_id) for trade in trades]
    answers = await asyncio.gather(*(door.post(report) for report in reports for door in (first, second, first)))
    assert {answer.status for answer in answers} == {200}
    assert [answer.body["duplicate"] for answer in answers].count(False) == 60
    for trade in trades:
        await desk.until_status(trade.trade_id, Status.SETTLED)
        assert await desk.told(trade.trade_id) == ["settled"]

    async def all_processed() -> bool:
        return not await first.rows("SELECT 1 FROM unprocessed_webhooks")

    await eventually(all_processed, "all processed")
    rows = await first.rows("SELECT webhook_id, count(*) FROM webhook_attempts GROUP BY 1")
    assert {row[1] for row in rows} == {1}


def _same_key(door: Door, desk: TradeDesk) -> dict[str, Any]:
    return {
        "encryption_key": door.runtime.settings.encryption_key.get_secret_value(),
        "trade_address": desk.address,
    }


async def test_what_a_lane_has_no_room_for_is_found_in_the_database(
    desk: TradeDesk, open_another: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_ingest.app.lanes.WAITING_MAX", 1)
    door = await open_another(trade_address=desk.address)
    trades = [await desk.reserve() for _ in range(30)]
    await asyncio.gather(*(door.post(settled(trade.trade_id)) for trade in trades))
    for trade in trades:
        await desk.until_status(trade.trade_id, Status.SETTLED)


async def test_new_reports_without_end_do_not_keep_an_old_one_from_its_next_try(
    desk: TradeDesk, open_another: OpenDoor
) -> None:
    door = await open_another(trade_address=desk.address)
    trade_id = new_id("pt", "test")
    old = await door.post(settled(trade_id))
    await desk.reserve(trade_id)
    enough = asyncio.Event()

    async def keep_the_lane_busy() -> None:
        while not enough.is_set():
            await door.post(settled(new_id("pt", "test")))

    busy = [asyncio.create_task(keep_the_lane_busy()) for _ in range(20)]
    try:
        await door.until_processed(old.body["webhookId"])
    finally:
        enough.set()
        await asyncio.gather(*busy)


async def test_what_was_accepted_before_a_stop_is_processed_by_who_comes_next(
    desk: TradeDesk, open_another: OpenDoor
) -> None:
    door = await open_another(trade_address=desk.address)
    trades = [await desk.reserve() for _ in range(200)]
    posts = [asyncio.ensure_future(door.post(settled(trade.trade_id))) for trade in trades]
    await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
    url, key = door.runtime.settings.database_url.get_secret_value(), _same_key(door, desk)
    await door.runtime.stop()
    answers = await asyncio.gather(*posts, return_exceptions=True)
    accepted = [
        trade
        for trade, answer in zip(trades, answers, strict=True)
        if not isinstance(answer, BaseException) and answer.status == 200
    ]
    assert accepted
    await open_another(url, **key)
    for trade in accepted:
        await desk.until_status(trade.trade_id, Status.SETTLED)


async def test_without_its_database_the_door_takes_nothing_and_says_so(
    postgres: RunningPostgres, desk: TradeDesk, open_another: OpenDoor
) -> None:
    cable, url = Cable(), await postgres.fresh_database("webhook_ingest")
    door = await open_another(url, trade_address=desk.address, database_url=await cable.to(url))
    report = settled((await desk.reserve()).trade_id)
    await cable.pull_out()
    answer = await door.post(report)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    await cable.plug_in()

    async def taken() -> bool:
        return (await door.post(report)).status == 200

    await eventually(taken, "the door takes it again")
    await desk.until_status(report["transactId"], Status.SETTLED)
    assert await desk.told(report["transactId"]) == ["settled"]
    await cable.pull_out()
