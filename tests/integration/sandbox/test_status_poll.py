"""Protects the poll where every webhook is lost: what the simulated provider would have told, it says when asked."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from poolctl.sandbox.names import SETTLEMENT_SOURCE
from poolkit.ids import new_id
from poolkit.security import new_webhook_secret
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import settlement_status_pb2 as status_pb
from tests.integration.databases import RunningPostgres
from tests.integration.sandbox.conftest import StartSandbox, reserve
from tests.integration.webhook_ingest.door import Door, TradeDesk, close_door, open_door
from tests.waiting import eventually
from trade.domain.trade import Status

OpenAsking = Callable[[str], Awaitable[Door]]


@pytest.fixture
async def open_asking(
    postgres: RunningPostgres, session: aiohttp.ClientSession, desk: TradeDesk
) -> AsyncIterator[OpenAsking]:
    """Opens a webhook-ingest that asks the provider at this address."""
    opened: list[Door] = []

    async def open_one(url: str) -> Door:
        door = await open_door(
            await postgres.fresh_database("webhook_ingest"),
            session,
            trade_address=desk.address,
            provider_url=url,
            provider_source=SETTLEMENT_SOURCE,
            provider_pause_seconds=0.05,
        )
        opened.append(door)
        await door.add_source(SETTLEMENT_SOURCE)
        return door

    yield open_one
    for door in opened:
        await close_door(door)


OUTCOMES = {
    "0001": Status.SETTLED,
    "0002": Status.FAILED,
    "0003": Status.RELEASED,
    "0004": Status.RETURNED,
    "0005": Status.RESERVED,
    "0006": Status.RETURNED,
}


async def test_trades_whose_webhooks_are_lost_end_as_they_should_by_asking(
    start_sandbox: StartSandbox, open_asking: OpenAsking, desk: TradeDesk
) -> None:
    # Signed with a secret that nobody knows, none of its webhooks is taken.
    sandbox = await start_sandbox(settlement_source_secret=new_webhook_secret())
    trades = [await reserve(desk, digits) for digits in OUTCOMES]
    await sandbox.announce(*trades)

    async def heard() -> bool:
        return {(await sandbox.get(f"/v1/trades/{trade.trade_id}"))[0] for trade in trades} == {200}

    await eventually(heard, "the provider heard of the trades")
    door = await open_asking(sandbox.url)
    request = status_pb.PollSettlementsRequest()
    for trade in trades:
        context = types_pb2.RequestContext(request_id=new_id("req"), mode=types_pb2.MODE_TEST)
        request.items.add(context=context, trade_id=trade.trade_id)
    answer = await door.client.settlement_status.PollSettlements(request)
    assert [result.outcome for result in answer.results] == [
        status_pb.POLL_OUTCOME_NO_NEWS if status is Status.RESERVED else status_pb.POLL_OUTCOME_NEWS
        for status in OUTCOMES.values()
    ]
    assert [await desk.status(trade.trade_id) for trade in trades] == list(OUTCOMES.values())
