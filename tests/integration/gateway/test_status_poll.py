"""The poll by quote id advances settlement: the provider is asked, once, and no silence of its fails a poll."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.domain.entitlement import EntitlementChange
from gateway.settings import GatewaySettings
from poolctl.stack.ports import free_port
from poolkit.ids import new_id
from pools.gateway.v1 import admin_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import Partner, start_gateway
from tests.integration.gateway.neighbours import House
from tests.integration.provider import report
from tests.waiting import eventually


@pytest.fixture(scope="module")
async def partner(standing_house: House) -> Partner:
    return await standing_house.onboard(money="100000.00")


async def reserve(house: House, partner: Partner, edge: str = "rest") -> tuple[Caller, dict[str, Any]]:
    """A reserved trade, and who polls it over this edge."""
    rest = Caller(house.gateway, house.http, "rest", partner.secret_key)
    quoted = await rest.create_quote()
    accepted = await rest.transact(quoted.body["quoteId"], new_id("req"))
    assert accepted.code == "ok", accepted.body
    return Caller(house.gateway, house.http, edge, partner.secret_key), accepted.body


async def records(house: House, trade_id: str, kind: str) -> list[Any]:
    found = await house.gateway.internal.support.FindJourney(admin_pb2.FindJourneyRequest(id=trade_id))
    return [record for record in found.records if record.kind == kind]


@pytest.mark.parametrize("edge", EDGES)
async def test_a_poll_of_a_reserved_trade_brings_home_what_the_provider_knows(
    house: House, partner: Partner, edge: str
) -> None:
    caller, trade = await reserve(house, partner, edge)
    event = report(trade)
    house.provider.tell(trade["transactId"], event)
    polled = await caller.get_transaction(trade["quoteId"])
    if edge == "rest":
        assert (polled.body["status"], polled.body["networkTransactionId"]) == ("settled", "0xabc")
    else:
        assert polled.body.trade.network_transaction_id == "0xabc"
    assert house.provider.authorization == "Bearer a token that the provider gave us"

    # The webhook with the same news comes later, and changes nothing.
    assert (await house.post_report(event))["duplicate"] is True
    [stored] = await records(house, trade["transactId"], "webhook_in")
    assert (stored.facts["signature_result"], stored.facts["source"]) == ("polled", "settlement")
    assert stored.ids["request"] == polled.request_id
    [asked] = await records(house, trade["transactId"], "status_poll")
    assert (asked.facts["outcome"], asked.facts["asked_count"]) == ("news", "1")

    # A settled trade is not asked about any more.
    await caller.get_transaction(trade["quoteId"])
    assert house.provider.asked[trade["transactId"]] == 1


async def test_a_poll_after_the_webhook_neither_contradicts_nor_repeats_it(house: House, partner: Partner) -> None:
    caller, trade = await reserve(house, partner)
    event = report(trade, "failed")
    assert (await house.post_report(event))["duplicate"] is False
    # Another event that says the same, and the same event once more.
    house.provider.tell(trade["transactId"], event, report(trade, "failed"))
    polled = await eventually(lambda: _with_status(caller, trade, "failed"), "the poll shows it")
    assert polled["terminalAt"]
    moves = await records(house, trade["transactId"], "transition")
    assert [move.facts.get("to_status", move.summary) for move in moves].count("failed") <= 1


async def _with_status(caller: Caller, trade: dict[str, Any], status: str) -> dict[str, Any] | None:
    polled: dict[str, Any] = (await caller.get_transaction(trade["quoteId"])).body
    return polled if polled["status"] == status else None


async def test_settled_and_returned_in_one_answer_end_returned(house: House, partner: Partner) -> None:
    caller, trade = await reserve(house, partner)
    house.provider.tell(trade["transactId"], report(trade, "returned"), report(trade), report(trade, "returned"))
    assert (await caller.get_transaction(trade["quoteId"])).body["status"] == "returned"


async def test_polls_at_the_same_time_ask_once_and_a_hasty_poller_waits_its_turn(
    house: House, partner: Partner
) -> None:
    caller, trade = await reserve(house, partner)
    house.provider.hang(trade["transactId"])
    house.provider.tell(trade["transactId"], report(trade))
    polls = [asyncio.create_task(caller.get_transaction(trade["quoteId"])) for _ in range(8)]
    await eventually(lambda: house.provider.asked[trade["transactId"]], "the provider is asked")
    house.provider.release.set()
    answers = [await poll for poll in polls]
    house.provider.release.clear()
    assert house.provider.asked[trade["transactId"]] == 1
    assert {answer.body["status"] for answer in answers} == {"settled"}

    caller, pending = await reserve(house, partner)
    house.provider.tell(pending["transactId"])
    for _ in range(5):
        assert (await caller.get_transaction(pending["quoteId"])).body["status"] == "reserved"
    asked_at_once = house.provider.asked[pending["transactId"]]
    assert asked_at_once < 5

    async def asked_again() -> bool:
        await caller.get_transaction(pending["quoteId"])
        return house.provider.asked[pending["transactId"]] > asked_at_once

    await eventually(asked_again, "after the pause it is asked again")


NONSENSE: dict[str, bytes] = {
    "not json": b"<html>busy</html>",
    "no status": b"[1, 2]",
    "not utf-8": b'{"transactId": "\xff\xfe", "events": []}',
    "too much": b'{"transactId": "x", "events": ["' + b"x" * 200_000 + b'"]}',
    "deep": b"[" * 60_000,
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_leaves_the_trade_as_it_is(house: House, partner: Partner, body: bytes) -> None:
    caller, trade = await reserve(house, partner)
    house.provider.answer(trade["transactId"], body)
    polled = await caller.get_transaction(trade["quoteId"])
    assert (polled.code, polled.body["status"]) == ("ok", "reserved")
    assert house.provider.asked[trade["transactId"]] == 1
    assert await records(house, trade["transactId"], "webhook_in") == []


@pytest.mark.parametrize("status", [302, 401, 500, 503])
async def test_a_refusal_of_the_provider_leaves_the_trade_as_it_is(house: House, partner: Partner, status: int) -> None:
    caller, trade = await reserve(house, partner)
    house.provider.answer(trade["transactId"], b"{}", status)
    polled = await caller.get_transaction(trade["quoteId"])
    assert (polled.code, polled.body["status"]) == ("ok", "reserved")
    assert house.provider.asked["elsewhere"] == 0


async def test_another_trades_status_moves_neither_trade(house: House, partner: Partner) -> None:
    caller, trade = await reserve(house, partner)
    _, other = await reserve(house, partner)
    wrong: list[Any] = [
        ((), {"about": other["transactId"]}),
        ((report(trade),), {"about": other["transactId"]}),
        ((report(other),), {}),
        ((report(trade), report(other)), {}),
        ((report(trade, "exploded"),), {}),
        ((report(trade, cryptoAmount="-1"),), {}),
        ((report(trade, kind="payin.credited", bankTransactionId="x", currency="EUR", amount="1.00"),), {}),
    ]
    for count, (events, about) in enumerate(wrong, start=1):
        house.provider.tell(trade["transactId"], *events, **about)

        async def asked(count: int = count) -> bool:
            assert (await caller.get_transaction(trade["quoteId"])).body["status"] == "reserved"
            return house.provider.asked[trade["transactId"]] >= count

        await eventually(asked, "it is asked")
    assert (await caller.get_trade(other["transactId"])).body["status"] == "reserved"
    assert await records(house, trade["transactId"], "webhook_in") == []


async def test_a_provider_that_hangs_costs_a_poll_its_patience_and_loses_nothing(
    house: House, partner: Partner
) -> None:
    caller, trade = await reserve(house, partner)
    house.provider.hang(trade["transactId"])
    started = asyncio.get_running_loop().time()
    polled = await caller.get_transaction(trade["quoteId"])
    assert (polled.code, polled.body["status"]) == ("ok", "reserved")
    assert asyncio.get_running_loop().time() - started < 2.0

    # Others are not held up by it, nor are reads of this one.
    reads = await caller.get_trade(trade["transactId"])
    assert reads.body["status"] == "reserved"
    house.provider.release.set()
    house.provider.tell(trade["transactId"], report(trade, "released"))
    await eventually(lambda: _with_status(caller, trade, "released"), "once it answers, the poll shows it")
    house.provider.release.clear()


async def test_pure_reads_never_ask(house: House, partner: Partner) -> None:
    caller, trade = await reserve(house, partner)
    house.provider.tell(trade["transactId"], report(trade))
    await caller.get_trade(trade["transactId"])
    await caller.list_trades(limit=10)
    await caller.get_quote(trade["quoteId"])
    assert house.provider.asked[trade["transactId"]] == 0


async def test_a_poll_by_another_organization_asks_nobody(house: House, partner: Partner) -> None:
    _, trade = await reserve(house, partner)
    stranger = await house.onboard()
    caller = Caller(house.gateway, house.http, "rest", stranger.secret_key)
    assert (await caller.get_transaction(trade["quoteId"])).code == "not_found"
    assert house.provider.asked[trade["transactId"]] == 0


async def test_a_poll_answers_the_trade_as_it_is_while_nobody_can_ask(house: House, postgres: RunningPostgres) -> None:
    """Webhook-ingest is out of reach, and then it takes the connection and says nothing."""
    known = house.gateway.runtime.settings
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            await _poll_reserved(house, postgres, known, f"127.0.0.1:{port}")


async def _poll_reserved(house: House, postgres: RunningPostgres, known: GatewaySettings, webhook_ingest: str) -> None:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(
            stack,
            postgres,
            quote_address=known.quote_address,
            trade_address=known.trade_address,
            ledger_address=known.ledger_address,
            webhook_ingest_address=webhook_ingest,
        )
        partner = await gateway.new_partner(EntitlementChange(balance_gate_enabled=False))
        caller = Caller(gateway, house.http, "rest", partner.secret_key)
        quoted = await caller.create_quote()
        accepted = await caller.transact(quoted.body["quoteId"], new_id("req"))
        assert accepted.code == "ok", accepted.body
        polled = await caller.get_transaction(quoted.body["quoteId"])
        assert (polled.code, polled.body["status"]) == ("ok", "reserved")
