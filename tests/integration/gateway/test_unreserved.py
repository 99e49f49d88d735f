"""While an intent runs or declines nobody knows its answer: repeats are told to ask again, and nothing shows it yet."""

from __future__ import annotations

from typing import Any

import pytest

from poolkit.ids import new_id
from pools.gateway.v1 import admin_pb2
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.neighbours import House
from tests.integration.gateway.test_reads import trades_of

# As a driver leaves it that has just begun, and that no recovery takes over while the test looks.
BEGUN = """
INSERT INTO intents (trade_id, organization_id, idempotency_key, quote_id, pool_id, balance_gate_enabled,
                     off_ramp_enabled, claimed_at, request_id, traceparent)
VALUES ($1, $2, 'first', $3, 'EUR-USDT', true, false, now() + interval '1 hour', 'req_first', '')
"""
DECLINING = "UPDATE intents SET state = 'declining', decline_reason = 'insufficient_balance' WHERE trade_id = $1"
DECLINED = "UPDATE intents SET state = 'declined', declined_at = now() WHERE trade_id = $1"


async def record_of(house: House, quote_id: str) -> Any:
    """What support is told of the quote."""
    found = await house.gateway.internal.support.FindJourney(admin_pb2.FindJourneyRequest(id=quote_id))
    return found.record


@pytest.mark.parametrize("edge", EDGES)
async def test_until_it_is_reserved_every_repeat_is_told_to_ask_again_and_nothing_shows_it(
    house: House, edge: str
) -> None:
    partner = await house.onboard(money="1000.00")
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    rest = Caller(house.gateway, house.http, "rest", partner.secret_key)
    quote_id, other_quote_id = [(await rest.create_quote()).body["quoteId"] for _ in range(2)]
    trade_id = new_id("pt", "test")
    assert (await caller.get_transaction(quote_id)).code == "not_found"

    await house.trade_database.execute(BEGUN, trade_id, partner.organization_id, quote_id)
    for state in ("running", "declining"):
        if state == "declining":
            await house.trade_database.execute(DECLINING, trade_id)
        answers = {
            "the poll": await caller.get_transaction(quote_id),
            "the same again": await caller.transact(quote_id, "first"),
            "another key": await caller.transact(quote_id, "second"),
            "the key with another body": await caller.transact(other_quote_id, "first"),
        }
        told = {name: (answer.code, answer.retry_after) for name, answer in answers.items()}
        assert told == dict.fromkeys(answers, ("idempotency_in_progress", 1)), state
        assert (await caller.get_trade(trade_id)).code == "not_found"
        assert trades_of(await caller.list_trades()) == []
        assert (await record_of(house, quote_id)).transact_id == ""

    await house.trade_database.execute(DECLINED, trade_id)
    assert (await caller.get_transaction(quote_id)).code == "not_found"
    accepted = await caller.transact(quote_id, "first")
    assert (accepted.code, accepted.replayed) == ("ok", False)
    assert len(trades_of(await caller.list_trades())) == 1
