"""What was given up is not lost: its sender says it again, and it is tried again, unless it was refused for good."""

from __future__ import annotations

from typing import Any

import pytest

from poolkit.database import Database
from poolkit.ids import new_id
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import settlement_status_pb2 as status_pb
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.provider import report, serving_provider
from tests.integration.webhook_ingest.conftest import OpenDoor
from tests.integration.webhook_ingest.door import BANK, SETTLEMENT, Door, TradeDesk, credited, settled
from tests.integration.webhook_ingest.ledger_desk import LedgerDesk
from tests.waiting import eventually
from trade.domain.trade import Status

RECEIVED = webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED
PROCESSED = webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED
EXCEPTION = webhook_ingest_pb2.WEBHOOK_STATE_EXCEPTION


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is looked for all the time."""
    monkeypatch.setattr("webhook_ingest.app.lanes.POLL_SECONDS", 0.02)


async def given_up(door: Door, event: dict[str, Any]) -> str:
    """The webhook of an event about a trade that nobody knew while it was tried."""
    answer = await door.post(event)
    await door.until_state(answer.body["webhookId"], EXCEPTION)
    return str(answer.body["webhookId"])


async def test_a_report_that_was_given_up_takes_effect_when_its_sender_says_it_again(
    desk: TradeDesk, open_another: OpenDoor
) -> None:
    door = await open_another(trade_address=desk.address, refusals_max=1)
    event = settled(new_id("pt", "test"))
    webhook_id = await given_up(door, event)
    # Said again too early it is given up again.
    assert (await door.post(event)).body == {"received": True, "webhookId": webhook_id, "duplicate": True}

    async def tried_anew() -> bool:
        webhook = await door.webhook(webhook_id)
        return len(webhook.attempts) == 2 and webhook.state == EXCEPTION

    await eventually(tried_anew, "it is given up again")
    await desk.reserve(event["transactId"])
    assert (await door.post(event)).body["duplicate"] is True
    webhook = await door.until_state(webhook_id, PROCESSED)
    assert [attempt.outcome for attempt in webhook.attempts] == ["exception", "exception", "processed"]
    assert await desk.told(event["transactId"]) == ["settled"]


async def test_what_the_provider_says_when_it_is_asked_does_so_too(desk: TradeDesk, open_another: OpenDoor) -> None:
    async with serving_provider() as provider:
        door = await open_another(
            trade_address=desk.address, refusals_max=1, provider_url=provider.url, provider_source=SETTLEMENT
        )
        trade_id = new_id("pt", "test")
        event = report({"transactId": trade_id, "cryptoAmount": "107.904009"})
        webhook_id = await given_up(door, event)
        await desk.reserve(trade_id)
        provider.tell(trade_id, event)
        context = types_pb2.RequestContext(request_id="req_poll", mode=types_pb2.MODE_TEST)
        asked = status_pb.PollSettlementsRequest(
            items=[status_pb.PollSettlementsItem(context=context, trade_id=trade_id)]
        )
        await door.client.settlement_status.PollSettlements(asked)
        await desk.until_status(trade_id, Status.SETTLED)
        await door.until_state(webhook_id, PROCESSED)


async def test_what_was_refused_for_good_is_not_tried_as_often_as_somebody_repeats_it(
    door: Door, desk: TradeDesk
) -> None:
    trade = await desk.reserve()
    await door.post(settled(trade.trade_id))
    await desk.until_status(trade.trade_id, Status.SETTLED)
    illegal = settled(trade.trade_id, kind="trade.failed")
    webhook_id = await given_up(door, illegal)
    for _ in range(3):
        assert (await door.post(illegal)).body["duplicate"] is True
    assert len(await door.rows("SELECT 1 FROM unprocessed_webhooks WHERE given_up_at IS NOT NULL")) >= 1
    webhook = await door.webhook(webhook_id)
    assert (webhook.state, len(webhook.attempts)) == (EXCEPTION, 1)


async def test_nor_is_what_was_unknown_at_first_and_then_refused_for_good(
    desk: TradeDesk, open_another: OpenDoor
) -> None:
    # Time enough for the trade to be reserved and settled before the next try.
    door = await open_another(trade_address=desk.address, retry_seconds_min=1.5, retry_seconds_max=1.5)
    trade_id = new_id("pt", "test")
    illegal = settled(trade_id, kind="trade.failed")
    webhook_id = str((await door.post(illegal)).body["webhookId"])

    async def unknown_at_first() -> bool:
        return len((await door.webhook(webhook_id)).attempts) >= 1

    await eventually(unknown_at_first, "it is tried, and the trade is unknown")
    await desk.reserve(trade_id)
    await door.post(settled(trade_id))
    await desk.until_status(trade_id, Status.SETTLED)
    tried = (await door.until_state(webhook_id, EXCEPTION)).attempts
    for _ in range(3):
        assert (await door.post(illegal)).body["duplicate"] is True
    assert await door.rows(f"SELECT 1 FROM unprocessed_webhooks WHERE webhook_id = '{webhook_id}' AND under_way") == []
    assert (await door.webhook(webhook_id)).attempts == tried


async def test_a_payin_that_the_ledger_does_not_understand_is_tried_until_that_is_mended(
    postgres: RunningPostgres, ledger: LedgerDesk, open_another: OpenDoor
) -> None:
    """Only `not found` says that nobody knows a reference. So many noes are enough of an unknown trade, not of this."""
    organization_id, reference = await ledger.reference()
    payin = credited(fundingReference=reference)
    door = await open_another(ledger_address=ledger.address, refusals_max=1)
    role = await ledger.database.fetch_value("SELECT current_user::text")
    url = ledger.runtime.settings.database_url.get_secret_value()
    books = Database(postgres.admin_url(url), application_name="test")
    await books.execute(f"REVOKE SELECT ON funding_references FROM {role}")
    try:
        answer = await door.post(payin, source=BANK)

        async def tried_in_vain() -> bool:
            webhook = await door.webhook(answer.body["webhookId"])
            return len(webhook.attempts) >= 3 and webhook.state == RECEIVED

        await eventually(tried_in_vain, "it is tried in vain")
    finally:
        await books.execute(f"GRANT SELECT ON funding_references TO {role}")
        await books.close()
    await door.until_state(answer.body["webhookId"], PROCESSED)
    rows = await door.rows("SELECT key FROM outbox WHERE topic = 'pools.payin.credited.v1'")
    assert [row["key"] for row in rows] == [organization_id]
