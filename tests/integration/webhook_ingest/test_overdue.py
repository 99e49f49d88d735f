"""Trades that nobody reports on are asked about in the background, by one replica."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from poolkit.security import new_encryption_key
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import settlement_status_pb2 as status_pb
from tests.integration.provider import Provider, report, serving_provider
from tests.integration.webhook_ingest.conftest import OpenDoor
from tests.integration.webhook_ingest.door import SETTLEMENT, Door, TradeDesk
from tests.waiting import eventually
from trade.domain.trade import Status, Trade
from webhook_ingest.app.poll import IN_FLIGHT_MAX

LONG_AGO = "UPDATE trades SET created_at = created_at - interval '1 hour' WHERE trade_id = ANY($1::text[])"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with serving_provider() as serving:
        yield serving


def told(trade: Trade, kind: str = "settled", **changed: Any) -> dict[str, Any]:
    return report({"transactId": trade.trade_id, "cryptoAmount": trade.terms.crypto_amount}, kind, **changed)


async def asking(open_another: OpenDoor, desk: TradeDesk, provider: Provider, url: str = "", **settings: Any) -> Door:
    """A door that looks for overdue trades all the time."""
    return await open_another(
        url,
        trade_address=desk.address,
        provider_url=provider.url,
        **{
            "provider_source": SETTLEMENT,
            "provider_seconds_max": 0.5,
            "reserved_seconds_max": 1800,
            "overdue_pause_seconds": 0.2,
            **settings,
        },
    )


async def poll(door: Door, *trade_ids: str) -> list[int]:
    context = types_pb2.RequestContext(request_id="req_poll", mode=types_pb2.MODE_TEST)
    items = [status_pb.PollSettlementsItem(context=context, trade_id=trade_id) for trade_id in trade_ids]
    answer = await door.client.settlement_status.PollSettlements(status_pb.PollSettlementsRequest(items=items))
    return [result.outcome for result in answer.results]


async def test_overdue_trades_are_asked_about_and_young_ones_are_not(
    open_another: OpenDoor, desk: TradeDesk, provider: Provider
) -> None:
    old, silent, young = [await desk.reserve() for _ in range(3)]
    await desk.database.execute(LONG_AGO, [old.trade_id, silent.trade_id])
    for trade in (old, young):
        provider.tell(trade.trade_id, told(trade))
    provider.answer(silent.trade_id, b"nonsense")
    door = await asking(open_another, desk, provider)
    await desk.until_status(old.trade_id, Status.SETTLED)
    # The one that gives no answer is asked about again and again, and stays as it is.
    await eventually(lambda: provider.asked[silent.trade_id] >= 2, "the silent one is asked about again")
    assert await desk.status(silent.trade_id) == await desk.status(young.trade_id) == Status.RESERVED
    assert provider.asked[young.trade_id] == 0
    assert provider.asked[old.trade_id] == 1
    (stored,) = await door.rows("SELECT * FROM webhooks WHERE transact_id = $1", old.trade_id)
    assert (stored["request_id"], stored["signature_result"]) == (old.request_id, "polled")
    assert await desk.told(old.trade_id) == ["settled"]


async def test_more_overdue_trades_than_a_page_are_all_asked_about(
    open_another: OpenDoor, desk: TradeDesk, provider: Provider
) -> None:
    trades = [await desk.reserve() for _ in range(130)]
    await desk.database.execute(LONG_AGO, [trade.trade_id for trade in trades])
    await asking(open_another, desk, provider)
    await eventually(lambda: all(provider.asked[trade.trade_id] for trade in trades), "all are asked about")
    assert provider.asked_together_most <= 8


async def test_two_replicas_ask_about_an_overdue_trade_once(
    open_another: OpenDoor, desk: TradeDesk, provider: Provider, postgres: Any
) -> None:
    trade = await desk.reserve()
    await desk.database.execute(LONG_AGO, [trade.trade_id])
    url = await postgres.fresh_database("webhook_ingest")
    same = {"encryption_key": new_encryption_key(), "overdue_pause_seconds": 600, "provider_pause_seconds": 600}
    one = await asking(open_another, desk, provider, url, **same)
    two = await asking(open_another, desk, provider, url, **same)
    await eventually(lambda: provider.asked[trade.trade_id], "it is asked about")
    not_asked = [status_pb.POLL_OUTCOME_NOT_ASKED]

    async def both_pause() -> bool:
        # A question still under way is shared, not asked anew.
        return [await poll(door, trade.trade_id) for door in (one, two)] == [not_asked, not_asked]

    await eventually(both_pause, "the question is answered, and no other is asked for now")
    assert provider.asked[trade.trade_id] == 1


async def test_trades_that_nobody_could_ask_about_are_asked_about_soon_and_not_a_whole_pause_later(
    open_another: OpenDoor, desk: TradeDesk, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_ingest.app.overdue.RETRY_SECONDS", 0.1)
    trade = await desk.reserve()
    await desk.database.execute(LONG_AGO, [trade.trade_id])
    with capture_logs() as logs:
        door = await asking(open_another, desk, provider, provider_source="later", overdue_pause_seconds=600)
        await eventually(
            lambda: any(line["event"] == "provider_source_missing" for line in logs), "nobody can be asked"
        )
    await door.add_source("later")
    await eventually(lambda: provider.asked[trade.trade_id], "it is asked about")


async def test_a_provider_that_hangs_holds_up_so_many_polls_and_no_more(
    open_another: OpenDoor, desk: TradeDesk, provider: Provider
) -> None:
    door = await asking(open_another, desk, provider, reserved_seconds_max=2_592_000)
    ids = [f"pt_test_hangs{number}" for number in range(IN_FLIGHT_MAX + 10)]
    for trade_id in ids:
        provider.hang(trade_id)
    outcomes = await poll(door, *ids)
    assert outcomes.count(status_pb.POLL_OUTCOME_NOT_ASKED) == 10
    assert outcomes.count(status_pb.POLL_OUTCOME_NO_ANSWER) == IN_FLIGHT_MAX
    assert provider.asked_together_most <= IN_FLIGHT_MAX
    # And afterwards there is room again.
    assert await poll(door, "pt_test_unheard_of") == [status_pb.POLL_OUTCOME_NO_NEWS]


async def test_news_of_a_trade_nobody_knows_is_kept_and_retried_as_a_webhook_is(
    open_another: OpenDoor, desk: TradeDesk, provider: Provider
) -> None:
    door = await asking(open_another, desk, provider, refusals_max=1000)
    event = {"eventId": "evt_early", "kind": "trade.failed", "transactId": "pt_test_later"}
    provider.tell("pt_test_later", event | {"occurredAt": "2026-11-22T10:00:00Z"})
    assert await poll(door, "pt_test_later") == [status_pb.POLL_OUTCOME_NEWS]
    await desk.reserve("pt_test_later")
    await desk.until_status("pt_test_later", Status.FAILED)


async def test_without_a_provider_nobody_is_asked(door: Door) -> None:
    assert await poll(door, "pt_test_1") == [status_pb.POLL_OUTCOME_NOT_ASKED]
