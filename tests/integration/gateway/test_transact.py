"""Transact over both edges, through the real quote, trade and ledger services: one trade, one hold, one answer."""

import asyncio
from typing import Any

import pytest

from gateway.domain.views import trade_view
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.integration.gateway.house import Partner
from tests.integration.gateway.neighbours import House
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("edge", EDGES)


def trade_of(answer: Answer) -> dict[str, Any]:
    """The trade as JSON, whichever way it came."""
    assert answer.code == "ok", answer
    return answer.body if isinstance(answer.body, dict) else trade_view(answer.body.trade)


async def quote_id(caller: Caller, **changes: Any) -> str:
    """A firm quote."""
    answer = await caller.create_quote(**changes)
    assert answer.code == "ok", answer
    found = answer.body["quoteId"] if isinstance(answer.body, dict) else answer.body.quote.quote_id
    assert found
    return str(found)


async def available(house: House, partner: Partner) -> str:
    """The partner's EUR, posted less held."""
    answer = await Caller(house.gateway, house.http, "rest", partner.secret_key).ledger()
    return str(answer.body["available"])


async def test_a_quote_is_accepted_once_and_its_money_held(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    accepted = await quote_id(caller)
    first = await caller.transact(accepted, "order-1")
    trade = trade_of(first)
    assert (trade["status"], trade["quoteId"], trade["requestId"]) == ("reserved", accepted, first.request_id)
    assert trade["transactId"].startswith("pt_test_")
    assert (trade["cryptoAmount"], trade["clientReference"]) == ("107.904009", "order_1")
    assert not first.replayed
    again = await caller.transact(accepted, "order-1")
    other_key = await caller.transact(accepted, "order-2")
    assert (again.replayed, other_key.replayed) == (True, True)
    assert trade_of(again) == trade_of(other_key) == trade
    assert await available(house, partner) == "900.00"
    assert trade_of(await caller.get_transaction(accepted)) == trade
    assert trade_of(await caller.get_trade(trade["transactId"])) == trade


async def test_the_same_transact_fifty_times_at_once_is_one_trade_and_one_hold(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    accepted = await quote_id(caller)
    answers = await asyncio.gather(*(caller.transact(accepted, "order-1") for _ in range(50)))
    done = [answer for answer in answers if answer.code == "ok"]
    assert {answer.code for answer in answers} <= {"ok", "idempotency_in_progress"}
    assert len({trade_of(answer)["transactId"] for answer in done}) == 1
    assert sum(not answer.replayed for answer in done) == 1
    assert await available(house, partner) == "900.00"


async def test_both_edges_give_the_same_answer_for_the_same_key(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    here = Caller(house.gateway, house.http, edge, partner.secret_key)
    there = Caller(house.gateway, house.http, "grpc" if edge == "rest" else "rest", partner.secret_key)
    accepted = await quote_id(here)
    first, again = await here.transact(accepted, "k"), await there.transact(accepted, "k")
    assert (first.replayed, again.replayed) == (False, True)
    assert trade_of(first) == trade_of(again)
    conflict = await there.transact(await quote_id(here), "k")
    assert conflict.code == "idempotency_conflict"


async def test_what_a_transact_is_refused_for_binds_nothing(house: House, edge: str) -> None:
    partner = await house.onboard()
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    accepted = await quote_id(caller)
    assert (await caller.transact(accepted, "k")).code == "insufficient_balance"
    await house.pay_in(partner, "100.00")
    assert trade_of(await caller.transact(accepted, "k"))["status"] == "reserved"
    assert await available(house, partner) == "0.00"


async def test_a_refused_transact_names_its_reason_in_the_contracts_order(house: House, edge: str) -> None:
    partner, stranger = await house.onboard(money="1000.00"), await house.onboard("Other")
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    accepted = await quote_id(caller)
    rejected = await quote_id(caller)
    await caller.reject_quote(rejected)
    others = Caller(house.gateway, house.http, edge, stranger.secret_key)
    answers = {
        "no key": await caller.transact(accepted, None),
        "a key of spaces": await caller.transact(accepted, " " if edge == "grpc" else None),
        "another pool": await caller.transact(accepted, "a", pool_id="EUR-USDC"),
        "no such pool": await caller.transact(accepted, "b", pool_id="EUR-DOGE"),
        "no such quote": await caller.transact(accepted[:-3] + "000", "c"),
        "no id at all": await caller.transact("not an id", "d"),
        "another's": await others.transact(accepted, "e"),
        "rejected": await caller.transact(rejected, "f"),
        "unknown trade": await caller.get_trade("pt_test_1"),
        "not transacted": await caller.get_transaction(accepted),
        "another's trade": await others.get_transaction(accepted),
    }
    assert {name: answer.code for name, answer in answers.items()} == {
        "no key": "idempotency_key_required",
        "a key of spaces": "idempotency_key_required",
        "another pool": "not_found",
        "no such pool": "not_found",
        "no such quote": "not_found",
        "no id at all": "not_found",
        "another's": "not_found",
        "rejected": "quote_rejected",
        "unknown trade": "not_found",
        "not transacted": "not_found",
        "another's trade": "not_found",
    }
    assert trade_of(await caller.transact(accepted, "a"))["status"] == "reserved"


async def test_a_suspended_partners_repeat_is_refused_and_says_nothing_of_the_first(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    accepted = await quote_id(caller)
    assert (await caller.transact(accepted, "k")).code == "ok"
    admin = house.gateway.internal.admin
    await admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(
            organization_id=partner.organization_id, status=admin_pb2.ENTITLEMENT_STATUS_SUSPENDED
        )
    )

    async def refused() -> bool:
        answer = await caller.transact(accepted, "k")
        return answer.code == "pool_access_suspended" and not answer.replayed

    await eventually(refused, "the repeat is refused", seconds=2.5)


async def test_caps_and_the_balance_gate_go_with_the_transact(house: House, edge: str) -> None:
    partner = await house.onboard()
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    await house.gateway.internal.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(
            organization_id=partner.organization_id,
            balance_gate_enabled=False,
            notional_caps=[types_pb2.Money(amount="150.00", currency="EUR")],
        )
    )
    accepted = [await quote_id(caller), await quote_id(caller)]
    assert trade_of(await caller.transact(accepted[0], "a"))["status"] == "reserved"
    refused = await caller.transact(accepted[1], "b")
    # No wait of a second or so would help, so none is named.
    assert (refused.code, refused.retry_after) == ("velocity_exceeded", 0)
    assert {(await caller.create_quote()).code, (await caller.get_quote(accepted[1])).code} == {"ok"}
    assert await available(house, partner) == "-100.00"


async def test_the_ledger_shows_what_settled_and_pages_through_it(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)
    for key in "abc":
        trade = trade_of(await caller.transact(await quote_id(caller), key))
        await house.report(
            trade["transactId"],
            "settled",
            networkTransactionId=f"0x{key}",
            cryptoCurrency="USDT",
            cryptoAmount=trade["cryptoAmount"],
        )

    async def posted() -> bool:
        answer = await caller.ledger()
        entries = answer.body["entries"] if edge == "rest" else answer.body.entries
        return len(entries) == 4

    await eventually(posted, "all three are posted")
    first = await caller.ledger(limit=3)
    if edge == "rest":
        assert (first.body["available"], first.body["hasMore"]) == ("700.00", True)
        assert [entry["balanceAfter"] for entry in first.body["entries"]] == ["700.00", "800.00", "900.00"]
        last = await caller.ledger(limit=3, cursor=first.body["nextCursor"])
        assert [(entry["reason"], entry["delta"]) for entry in last.body["entries"]] == [("payin_credit", "1000.00")]
        assert (last.body["hasMore"], last.body["nextCursor"]) == (False, None)
    else:
        assert first.body.available.amount == "700.00"
        last = await caller.ledger(limit=3, cursor=first.body.next_page_token)
        assert [entry.reason for entry in last.body.entries] == ["payin_credit"]
        assert last.body.next_page_token == ""
    assert (await caller.ledger("USD")).code == "ok"
    assert (await caller.ledger(cursor="bm90IGEgY3Vyc29y")).code == "invalid_request"
