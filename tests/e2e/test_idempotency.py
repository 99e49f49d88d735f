"""One order is one trade, whatever a partner repeats, at once or later, with one key or several."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import httpx

from tests.e2e.databases import Databases
from tests.e2e.partners import SETTLES, Partner
from tests.waiting import eventually

STUCK = SETTLES[:-4] + "0005"


async def transact_until_answered(partner: Partner, quote_id: str, *, key: str) -> httpx.Response:
    """Repeats while the first request still runs, as `Retry-After` asks for."""
    answers: list[httpx.Response] = []

    async def answered() -> bool:
        answer = await partner.rest.transact(quote_id, key=key)
        if answer.status_code == 409 and answer.json()["code"] == "idempotency_in_progress":
            assert answer.headers["Retry-After"] == "1"
            return False
        answers.append(answer)
        return True

    await eventually(answered, "transact answers")
    return answers[0]


async def new_quote(partner: Partner) -> str:
    return str((await partner.rest.quote(destinationAddress=STUCK)).json()["quoteId"])


async def test_the_same_transact_fifty_times_at_once_is_one_trade_one_hold_and_one_answer(
    partner: Partner, databases: Databases
) -> None:
    quote_id = await new_quote(partner)
    answers = await asyncio.gather(*(transact_until_answered(partner, quote_id, key="order-1") for _ in range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert len({answer.content for answer in answers}) == 1
    replayed = Counter(answer.headers.get("Idempotent-Replayed") for answer in answers)
    assert replayed == {"true": 49, None: 1}
    trade_id = answers[0].json()["transactId"]
    assert await databases.value("trade", "SELECT count(*) FROM trades WHERE quote_id = $1", quote_id) == 1
    query = "SELECT count(*) FROM holds WHERE organization_id = $1 AND state = 'open'"
    assert await databases.value("ledger", query, partner.organization_id) == 1
    assert await databases.hold_of_trade(trade_id) == "open"
    assert await partner.rest.available() == "900.00"


async def test_two_keys_racing_for_one_quote_are_one_trade_and_both_keys_are_bound(
    partner: Partner, databases: Databases
) -> None:
    quote_id = await new_quote(partner)
    keys = [f"key-{number}" for number in range(8)]
    answers = await asyncio.gather(*(transact_until_answered(partner, quote_id, key=key) for key in keys))
    assert len({answer.json()["transactId"] for answer in answers}) == 1
    assert await databases.value("trade", "SELECT count(*) FROM trades WHERE quote_id = $1", quote_id) == 1
    assert await partner.rest.available() == "900.00"
    other_quote = await new_quote(partner)
    for key in keys:
        refused = await partner.rest.transact(other_quote, key=key)
        assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")


async def test_the_same_key_with_another_body_is_a_conflict_and_changes_nothing(partner: Partner) -> None:
    first, second = await new_quote(partner), await new_quote(partner)
    assert (await partner.rest.transact(first, key="order-1")).status_code == 200
    refused = await partner.rest.transact(second, key="order-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")
    assert await partner.rest.available() == "900.00"
    assert (await partner.rest.transact(second, key="order-2")).status_code == 200


async def test_a_replay_answers_as_first_given_after_the_trade_has_settled(partner: Partner) -> None:
    quote_id = (await partner.rest.quote()).json()["quoteId"]
    first = await partner.rest.transact(quote_id, key="order-1")

    async def settled() -> bool:
        return bool((await partner.rest.trade(first.json()["transactId"])).json()["status"] == "settled")

    await eventually(settled, "the trade is settled")
    again = await partner.rest.transact(quote_id, key="order-1")
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_a_refusal_binds_nothing_so_the_same_key_may_try_again(partner: Partner) -> None:
    dear = (await partner.rest.quote(amount="5000.00", destinationAddress=STUCK)).json()["quoteId"]
    refused = await partner.rest.transact(dear, key="order-1")
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    assert await partner.rest.available() == "1000.00"
    accepted = await transact_until_answered(partner, await new_quote(partner), key="order-1")
    assert accepted.status_code == 200
    assert Decimal(await partner.rest.available()) == Decimal("900.00")


async def test_both_edges_share_one_key(partner: Partner) -> None:
    quote_id = await new_quote(partner)
    over_rest = await partner.rest.transact(quote_id, key="order-1")
    over_grpc = await partner.grpc.transact(quote_id, key="order-1")
    assert over_grpc.transact_id == over_rest.json()["transactId"]
    assert await partner.rest.available() == "900.00"
