"""Protects the way of a settlement report from the door to the trade: one effect each, whatever happens on the way."""

import asyncio

from poolkit.ids import new_id
from pools.types.v1 import journey_pb2
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.integration.webhook_ingest.door import Door, TradeDesk, settled
from tests.waiting import eventually
from trade.domain.trade import Status

PROCESSED = webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED
EXCEPTION = webhook_ingest_pb2.WEBHOOK_STATE_EXCEPTION
RECEIVED = webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED


async def test_a_signed_report_is_answered_and_settles_its_trade(door: Door, desk: TradeDesk) -> None:
    trade = await desk.reserve()
    answer = await door.post(settled(trade.trade_id))
    assert answer.status == 200
    assert answer.body == {"received": True, "webhookId": answer.body["webhookId"], "duplicate": False}
    assert answer.body["webhookId"].startswith("whe_")
    await desk.until_status(trade.trade_id, Status.SETTLED)
    webhook = await door.until_state(answer.body["webhookId"], PROCESSED)
    assert [(attempt.number, attempt.outcome, attempt.detail) for attempt in webhook.attempts] == [(1, "processed", "")]
    assert webhook.signature_result == "valid"


async def test_the_same_report_twenty_times_at_once_has_one_effect(door: Door, desk: TradeDesk) -> None:
    trade = await desk.reserve()
    report = settled(trade.trade_id)
    answers = await asyncio.gather(*(door.post(report) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.body["duplicate"] for answer in answers) == [False] + [True] * 19
    assert len({answer.body["webhookId"] for answer in answers}) == 1
    await desk.until_status(trade.trade_id, Status.SETTLED)
    assert await desk.told(trade.trade_id) == ["settled"]
    assert len(await door.stored(report["eventId"])) == 1


async def test_returned_before_settled_ends_returned(door: Door, desk: TradeDesk) -> None:
    trade = await desk.reserve()
    early = await door.post(
        settled(
            trade.trade_id,
            kind="trade.returned",
            networkTransactionId=None,
            cryptoCurrency=None,
            cryptoAmount=None,
        )
    )
    await door.until_state(early.body["webhookId"], PROCESSED)
    await door.post(settled(trade.trade_id))
    await desk.until_status(trade.trade_id, Status.RETURNED)
    assert await desk.told(trade.trade_id) == ["settled", "returned"]


async def test_a_report_for_a_trade_nobody_knows_is_retried_and_takes_effect_once_it_is_known(
    door: Door, desk: TradeDesk
) -> None:
    trade_id = new_id("pt", "test")
    answer = await door.post(settled(trade_id))
    assert answer.status == 200

    async def tried_in_vain() -> bool:
        webhook = await door.webhook(answer.body["webhookId"])
        return len(webhook.attempts) >= 2 and webhook.state == RECEIVED

    await eventually(tried_in_vain, "tried in vain")
    await desk.reserve(trade_id)
    await desk.until_status(trade_id, Status.SETTLED)
    webhook = await door.until_state(answer.body["webhookId"], PROCESSED)
    assert [attempt.number for attempt in webhook.attempts] == list(range(1, len(webhook.attempts) + 1))
    assert {attempt.outcome for attempt in webhook.attempts[:-1]} == {"retry"}
    assert webhook.attempts[-1].outcome == "processed"


async def test_an_illegal_report_is_refused_by_the_trade_and_an_exception(door: Door, desk: TradeDesk) -> None:
    trade = await desk.reserve()
    await door.post(settled(trade.trade_id))
    await desk.until_status(trade.trade_id, Status.SETTLED)
    answer = await door.post(settled(trade.trade_id, kind="trade.failed"))
    assert answer.status == 200
    webhook = await door.until_state(answer.body["webhookId"], EXCEPTION)
    assert len(webhook.attempts) == 1
    assert await desk.status(trade.trade_id) == Status.SETTLED


async def test_the_journey_of_a_trade_tells_of_its_webhook_and_its_tries(door: Door, desk: TradeDesk) -> None:
    trade = await desk.reserve()
    answer = await door.post(settled(trade.trade_id), X_Request_Id="their-own-id")
    assert answer.headers["X-Request-Id"] == "their-own-id"
    await door.until_state(answer.body["webhookId"], PROCESSED)
    for wanted in (trade.trade_id, answer.body["webhookId"], "their-own-id"):
        found = await door.client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[wanted]))
        assert [record.kind for record in found.records] == ["webhook_in", "attempt"]
        webhook, attempt = found.records
        assert webhook.ids["trade"] == trade.trade_id
        assert webhook.ids["request"] == "their-own-id"
        # The try belongs to the request that reserved the trade.
        assert attempt.ids["request"] == trade.request_id
        assert attempt.facts["effect"] == "applied"
