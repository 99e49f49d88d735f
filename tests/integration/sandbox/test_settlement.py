"""Protects the simulated provider: every outcome through the webhook door, at least once, and the same when asked."""

from dataclasses import replace

import pytest

from poolctl.sandbox.names import SETTLEMENT_SOURCE
from poolkit.security import new_webhook_secret
from tests.integration.sandbox.conftest import Sandbox, StartSandbox, reserve
from tests.integration.webhook_ingest.door import NOWHERE, Door, TradeDesk
from tests.waiting import eventually
from trade.domain.trade import Side, Status, Trade

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

# What the digits lead to, and the webhooks that webhook-ingest keeps of it, in the order they came.
OUTCOMES = {
    "0001": (Status.SETTLED, ["settled"]),
    "0002": (Status.FAILED, ["failed"]),
    "0003": (Status.RELEASED, ["released"]),
    "0004": (Status.RETURNED, ["settled", "returned"]),
    "0006": (Status.RETURNED, ["returned", "returned", "settled", "settled"]),
    "9999": (Status.SETTLED, ["settled"]),
}


async def webhooks_of(door: Door, trade: Trade) -> list[str]:
    rows = await door.rows("SELECT kind FROM webhooks WHERE transact_id = $1 ORDER BY received_at", trade.trade_id)
    return [row["kind"].removeprefix("trade.") for row in rows]


@pytest.mark.parametrize("digits", OUTCOMES)
async def test_the_address_decides_what_becomes_of_a_trade(
    start_sandbox: StartSandbox, door: Door, desk: TradeDesk, digits: str
) -> None:
    status, webhooks = OUTCOMES[digits]
    sandbox = await start_sandbox()
    trade = await reserve(desk, digits)
    await sandbox.announce(trade, traceparent=TRACEPARENT)
    await desk.until_status(trade.trade_id, status)

    async def all_told() -> bool:
        return await webhooks_of(door, trade) == webhooks

    await eventually(all_told, "every report came")
    rows = await door.rows("SELECT request_id, traceparent FROM webhooks WHERE transact_id = $1", trade.trade_id)
    # The request and the trace of the reservation go through the provider and come back.
    assert {row["request_id"] for row in rows} == {trade.request_id}
    assert {row["traceparent"][:35] for row in rows} == {TRACEPARENT[:35]}
    code, answer = await sandbox.get(f"/v1/trades/{trade.trade_id}")
    assert (code, answer["transactId"], answer["status"]) == (200, trade.trade_id, status)
    assert [event["kind"].removeprefix("trade.") for event in answer["events"]] == webhooks


async def test_a_sale_takes_its_outcome_from_the_client_reference(start_sandbox: StartSandbox, desk: TradeDesk) -> None:
    sandbox = await start_sandbox()
    trade = await reserve(desk, "0001")
    sale = replace(trade.terms, side=Side.OFF_RAMP, destination_address="", client_reference="order-0002")
    await sandbox.announce(replace(trade, terms=sale))
    await desk.until_status(trade.trade_id, Status.FAILED)


async def test_a_stuck_trade_is_never_reported_and_pending_when_asked(
    start_sandbox: StartSandbox, door: Door, desk: TradeDesk
) -> None:
    sandbox = await start_sandbox()
    stuck, other = await reserve(desk, "0005"), await reserve(desk, "0001")
    other = replace(other, organization_id=stuck.organization_id)
    await sandbox.announce(stuck, other)
    # It came after the stuck one on the same partition, so the stuck one was heard.
    await desk.until_status(other.trade_id, Status.SETTLED)
    assert await webhooks_of(door, stuck) == []
    assert await sandbox.get(f"/v1/trades/{stuck.trade_id}") == (
        200,
        {"transactId": stuck.trade_id, "status": "pending", "events": []},
    )
    assert (await sandbox.get("/v1/trades/pt_test_nobody"))[0] == 404


async def test_a_trade_heard_of_again_is_told_in_the_same_words(
    start_sandbox: StartSandbox, door: Door, desk: TradeDesk
) -> None:
    sandbox = await start_sandbox()
    trade = await reserve(desk, "0004")
    await sandbox.announce(trade)
    await desk.until_status(trade.trade_id, Status.RETURNED)
    sandbox = await start_sandbox()
    later = replace(await reserve(desk, "0001"), organization_id=trade.organization_id)
    await sandbox.announce(trade, later)
    await desk.until_status(later.trade_id, Status.SETTLED)
    assert await webhooks_of(door, trade) == ["settled", "returned"]
    rows = await door.rows("SELECT 1 FROM webhooks WHERE transact_id = $1 AND refusal_reason <> ''", trade.trade_id)
    assert rows == []


async def test_while_the_door_is_shut_reports_wait_and_then_all_come(
    start_sandbox: StartSandbox, door: Door, desk: TradeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolctl.sandbox.delivery.PAUSE_SECONDS_MAX", 0.2)
    trades = [await reserve(desk, "0001") for _ in range(20)]
    shut = await start_sandbox(webhooks_url=f"http://{NOWHERE}")
    await shut.announce(*trades)

    async def heard() -> bool:
        return (await shut.get(f"/v1/trades/{trades[0].trade_id}"))[0] == 200

    await eventually(heard, "the provider heard of the trades")
    await start_sandbox()
    for trade in trades:
        await desk.until_status(trade.trade_id, Status.SETTLED)


async def test_a_secret_that_is_wrong_for_a_while_loses_no_report(
    start_sandbox: StartSandbox, door: Door, desk: TradeDesk
) -> None:
    trade = await reserve(desk, "0001")
    sandbox = await start_sandbox(settlement_source_secret=new_webhook_secret())
    await sandbox.announce(trade)

    async def refused() -> list[object]:
        return await door.rows("SELECT 1 FROM rejected_webhooks WHERE request_id = $1", trade.request_id)

    await eventually(refused, "the wrong signature was refused")
    assert await desk.status(trade.trade_id) == Status.RESERVED
    await start_sandbox(settlement_source_secret=door.secrets[SETTLEMENT_SOURCE])
    await desk.until_status(trade.trade_id, Status.SETTLED)


async def test_what_can_never_be_taken_holds_up_nothing(start_sandbox: StartSandbox, desk: TradeDesk) -> None:
    sandbox = await start_sandbox()
    odd, good = await reserve(desk, "0001"), await reserve(desk, "0001")
    odd = replace(odd, terms=replace(odd.terms, crypto_currency="DOGE"))
    await sandbox.announce(odd, replace(good, organization_id=odd.organization_id))
    await desk.until_status(good.trade_id, Status.SETTLED)
    assert await desk.status(odd.trade_id) == Status.RESERVED


async def test_the_program_says_that_it_lives(start_sandbox: StartSandbox) -> None:
    sandbox: Sandbox = await start_sandbox()
    await eventually(sandbox.is_ready, "the sandbox is ready")
    assert await sandbox.get("/healthz") == (200, {"alive": True})
