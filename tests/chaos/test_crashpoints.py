"""Kills trade at every boundary of the saga, one after the other: nothing is lost, doubled or stuck.

Protects architecture section 4: after a restart each intent ends reserved exactly once, or declined with everything
given back.
"""

from __future__ import annotations

import contextlib

import pytest

from poolctl.failure import CommandFailure
from poolctl.partner_api import PartnerRefusal
from poolkit.crashpoints import CRASHPOINTS
from tests.chaos.conftest import POOL, Customer, Town
from tests.waiting import eventually
from trade.app import steps

FORWARD = [steps.AFTER_INTENT, steps.AFTER_CONSUME, steps.AFTER_HOLD, steps.AFTER_RESERVE]
BACKWARD = [steps.AFTER_DECLINING, steps.AFTER_GIVE_BACK, steps.AFTER_VOID, steps.AFTER_DECLINED]


def test_every_crash_point_of_trade_is_killed_at() -> None:
    declared = {name for name in CRASHPOINTS if name.startswith("trade.")}
    assert declared == {*FORWARD, *BACKWARD, steps.AFTER_REPORT}


@pytest.mark.parametrize("point", FORWARD)
async def test_a_crash_on_the_way_forward_ends_in_one_trade_or_in_none(town: Town, point: str) -> None:
    customer = await town.customer(funds="100.00")
    quote_id = await customer.quote()
    await _crash_trade_at(town, point, customer, quote_id)
    answer = await _decided(town, quote_id)
    if answer == "declined":
        # Only where nothing was consumed yet: recovery begins no consumption. The quote is free again.
        assert point == steps.AFTER_INTENT
    assert await _inventory_adds_up(town)
    trade = await _transact(customer, quote_id)
    assert trade["status"] == "reserved"
    assert await _state(town, quote_id) == "reserved"
    assert await town.value("trade", "SELECT count(*) FROM trades WHERE quote_id = $1", quote_id) == 1
    assert await town.value("ledger", "SELECT count(*) FROM holds WHERE trade_id = $1", trade["transactId"]) == 1
    assert (await customer.api.list_ledger("EUR"))["available"] == "90.00"
    assert await _inventory_adds_up(town)


@pytest.mark.parametrize("point", BACKWARD)
async def test_a_crash_on_the_way_back_gives_everything_back_once(town: Town, point: str) -> None:
    customer = await town.customer(funds="5.00")
    quote_id = await customer.quote()
    await _crash_trade_at(town, point, customer, quote_id)
    await _decided(town, quote_id)
    assert await town.value("trade", "SELECT count(*) FROM trades WHERE quote_id = $1", quote_id) == 0
    assert (await customer.api.list_ledger("EUR"))["available"] == "5.00"
    assert await _inventory_adds_up(town)
    with pytest.raises(PartnerRefusal) as refused:
        await _transact(customer, quote_id)
    assert refused.value.code == "insufficient_balance"
    assert await _inventory_adds_up(town)


async def test_a_crash_after_a_settlement_report_posts_it_once_and_keeps_a_refused_one_once(town: Town) -> None:
    customer = await town.customer(funds="100.00")
    await town.stack.stop_part("trade")
    await town.stack.start_part("trade", {"POOLS_CRASHPOINT": steps.AFTER_REPORT})
    quote_id = await customer.quote("TQchaoschaoschaoschaoschaosch0001")
    trade = await _transact(customer, quote_id)
    await town.stack.part("trade").process.wait(20)
    # The report is told again, which is the first time; the second will be one that is refused.
    await town.stack.start_part("trade", {"POOLS_CRASHPOINT": f"{steps.AFTER_REPORT}@2"})
    await _processed(town, trade["transactId"], ["processed"])
    await town.report({"eventId": "chaos-refused", "kind": "trade.failed", "transactId": trade["transactId"]})
    await town.stack.part("trade").process.wait(20)
    await town.stack.start_part("trade")
    await _processed(town, trade["transactId"], ["exception", "processed"])
    kept = "SELECT count(*) FROM unapplied_reports WHERE provider_event_id = 'chaos-refused'"
    assert await town.value("trade", kept) == 1

    async def posted() -> bool:
        return bool((await customer.api.list_ledger("EUR"))["entries"][0]["reason"] == "buy_debit")

    await eventually(posted, "the settled trade is posted", seconds=40)
    query = "SELECT count(*) FROM transactions WHERE trade_id = $1"
    assert await town.value("ledger", query, trade["transactId"]) == 1
    assert (await customer.api.list_ledger("EUR"))["available"] == "90.00"


async def _processed(town: Town, trade_id: object, outcomes: list[str]) -> None:
    """Waits until the reports on a trade have ended so, in alphabetical order."""
    ends = """
        SELECT a.outcome FROM webhook_attempts a JOIN webhooks w USING (webhook_id)
        WHERE w.transact_id = $1 AND a.outcome <> 'retry' ORDER BY 1
    """

    async def all_ended() -> bool:
        return [row["outcome"] for row in await town.rows("webhook-ingest", ends, trade_id)] == outcomes

    await eventually(all_ended, f"reports end as {outcomes}", seconds=40)


async def _crash_trade_at(town: Town, point: str, customer: Customer, quote_id: str) -> None:
    """Transacts into an armed trade service, waits for its death, and starts it again unarmed."""
    await town.stack.stop_part("trade")
    await town.stack.start_part("trade", {"POOLS_CRASHPOINT": point})
    process = town.stack.part("trade").process

    async def died() -> bool:
        # The gateway may not have found the restarted service yet: asked again, until the call reaches its death.
        with contextlib.suppress(CommandFailure):
            await customer.api.transact(POOL, quote_id, idempotency_key=quote_id)
        return not process.running

    await eventually(died, f"trade dies at {point}", seconds=30, every_seconds=0.2)
    await town.stack.start_part("trade")


async def _transact(customer: Customer, quote_id: str) -> dict[str, object]:
    """Transacts with the same key until the answer is final, as a partner's server would."""
    answers: list[dict[str, object]] = []

    async def answered() -> bool:
        try:
            answers.append(await customer.api.transact(POOL, quote_id, idempotency_key=quote_id))
        except PartnerRefusal as refused:
            if refused.code not in ("idempotency_in_progress", "unavailable", "deadline_exceeded"):
                raise
        return bool(answers)

    await eventually(answered, "transact answers", seconds=20, every_seconds=0.1)
    return answers[0]


async def _state(town: Town, quote_id: str) -> str:
    query = "SELECT state FROM intents WHERE quote_id = $1 ORDER BY created_at DESC LIMIT 1"
    return str(await town.value("trade", query, quote_id))


async def _decided(town: Town, quote_id: str) -> str:
    """Waits until recovery has finished what the killed driver began."""

    async def final() -> bool:
        return await _state(town, quote_id) in ("reserved", "declined")

    await eventually(final, f"the intent of {quote_id} is decided", seconds=30)
    return await _state(town, quote_id)


async def _inventory_adds_up(town: Town) -> bool:
    """Committed inventory is what reserved trades were promised, to the last digit."""
    promised = await town.value(
        "trade", "SELECT coalesce(sum(crypto_amount), 0) FROM trades WHERE status = 'reserved' AND pool_id = $1", POOL
    )

    async def equal() -> bool:
        committed = await town.value(
            "quote", "SELECT committed FROM inventory WHERE pool_id = $1 AND currency = 'USDT'", POOL
        )
        return bool(committed == promised)

    await eventually(equal, "committed inventory equals what is promised", seconds=20)
    return True
