"""Capabilities, balance, funding and the list of trades over both edges, from the real services."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.views import trade_view
from pools.gateway.v1 import admin_pb2, partner_pb2
from pools.types.v1 import types_pb2
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.integration.gateway.house import ALL_POOLS, Partner
from tests.integration.gateway.neighbours import IBANS, House
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("edge", EDGES)


def of(house: House, edge: str, partner: Partner) -> Caller:
    return Caller(house.gateway, house.http, edge, partner.secret_key)


async def entitle(house: House, partner: Partner, **changes: Any) -> Partner:
    """The partner with another entitlement; keys that were not used yet are remembered by nobody."""
    await house.gateway.internal.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, **changes)
    )
    return partner


async def test_capabilities_are_what_the_pool_offers_the_partners_tier(house: House, edge: str) -> None:
    partner = await entitle(house, await house.onboard(), tier="premium", off_ramp_enabled=True)
    answer = await of(house, edge, partner).get_capabilities()
    assert answer.code == "ok"
    if edge == "rest":
        assert answer.body == {
            "poolId": "EUR-USDT",
            "pair": "EUR/USDT",
            "fiatCurrency": "EUR",
            "cryptoCurrency": "USDT",
            "supportedNetworks": ["tron", "ethereum", "polygon", "base"],
            "sides": ["on_ramp", "off_ramp"],
            "tier": "premium",
            "drawFeeBps": 10,
            "spreadCapBps": 20,
            "minOrder": "1.00",
            "maxOrder": "50000.00",
            "quoteTtlSeconds": 15,
        }
    else:
        found = answer.body.capabilities
        assert (found.pair, found.tier, found.draw_fee_bps, found.spread_cap_bps) == ("EUR/USDT", "premium", 10, 20)
        assert (found.order_min.amount, found.order_max.currency, found.quote_ttl_seconds) == ("1.00", "EUR", 15)


async def test_off_ramp_is_no_side_of_a_pool_where_it_is_not_enabled(house: House, edge: str) -> None:
    body = (await of(house, edge, await house.onboard()).get_capabilities()).body
    sides = body["sides"] if edge == "rest" else list(body.capabilities.sides)
    assert sides == (["on_ramp"] if edge == "rest" else [types_pb2.SIDE_ON_RAMP])


async def test_the_balance_is_posted_less_held_and_null_with_the_gate_off(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = of(house, edge, partner)
    quoted = await Caller(house.gateway, house.http, "rest", partner.secret_key).create_quote()
    await caller.transact(quoted.body["quoteId"], "k")
    body = (await caller.get_balance()).body
    ungated = await entitle(house, await house.onboard(), balance_gate_enabled=False)
    null = (await of(house, edge, ungated).get_balance()).body
    if edge == "rest":
        assert body == {
            "tier": "standard",
            "allowedPools": list(ALL_POOLS),
            "available": True,
            "currency": "EUR",
            "balance": "900.00",
        }
        assert null["balance"] is None
    else:
        assert (body.balance.amount, body.balance.currency, body.available) == ("900.00", "EUR", True)
        assert list(body.allowed_pool_ids) == list(ALL_POOLS)
        assert not null.HasField("balance")


async def test_a_pool_not_allowed_is_told_from_one_that_does_not_exist(house: House, edge: str) -> None:
    partner = await entitle(house, await house.onboard(), pools=admin_pb2.PoolList(pool_ids=["GBP-USDT"]))
    caller = of(house, edge, partner)
    for ask in (caller.get_capabilities, caller.get_balance):
        codes = [(await ask(pool_id)).code for pool_id in ("GBP-USDT", "EUR-USDT", "EUR-DOGE", "no%20id")]
        assert codes == ["ok", "pool_not_allowed", "not_found", "not_found"]


async def test_funding_gives_the_reference_that_was_given_before_and_the_account_where_one_is_published(
    house: House, edge: str
) -> None:
    partner = await house.onboard()
    caller = of(house, edge, partner)
    for currency in ("EUR", "GBP", "USD"):
        body = (await caller.get_funding(currency)).body
        reference = body["reference"] if edge == "rest" else body.reference
        instructions = body["instructions"] if edge == "rest" else body.instructions
        assert reference == partner.funding_references[currency]
        assert reference in instructions
        iban = IBANS.get(currency)
        assert (body["iban"] if edge == "rest" else body.iban or None) == iban
        assert (iban or "the account named in your contract") in instructions
    for currency in ("USDT", "XXX", ""):
        answer = await caller.get_funding(currency)
        assert (answer.code, answer.field) == ("invalid_request", "currency")


def trades_of(answer: Answer) -> list[dict[str, Any]]:
    """The trades as JSON, whichever way they came."""
    assert answer.code == "ok", answer
    return answer.body["trades"] if isinstance(answer.body, dict) else [trade_view(one) for one in answer.body.trades]


def cursor_of(answer: Answer) -> str | None:
    return answer.body["nextCursor"] if isinstance(answer.body, dict) else answer.body.next_page_token or None


async def test_trades_are_listed_newest_first_and_paged_through_once_each(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = of(house, edge, partner)
    poster = Caller(house.gateway, house.http, "rest", partner.secret_key)
    made = []
    for number in range(5):
        quoted = await poster.create_quote()
        made.append((await poster.transact(quoted.body["quoteId"], f"key {number}")).body)
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await caller.list_trades(limit=2, **({"cursor": cursor} if cursor else {}))
        assert len(trades_of(page)) <= 2
        seen += trades_of(page)
        cursor = cursor_of(page)
        if len(seen) == 2:
            # What comes meanwhile moves nothing.
            quoted = await poster.create_quote()
            await poster.transact(quoted.body["quoteId"], "meanwhile")
    assert [trade["transactId"] for trade in seen] == [trade["transactId"] for trade in reversed(made)]
    assert seen[-1] == made[0]
    stranger = of(house, edge, await house.onboard())
    assert trades_of(await stranger.list_trades()) == []


async def test_trades_are_narrowed_by_side_status_and_time(house: House, edge: str) -> None:
    partner = await house.onboard(money="1000.00")
    caller = of(house, edge, partner)
    poster = Caller(house.gateway, house.http, "rest", partner.secret_key)
    quoted = await poster.create_quote()
    trade = (await poster.transact(quoted.body["quoteId"], "k")).body
    day = "2026-01-01T00:00:00Z"
    for query, found in (
        ({"side": "on_ramp", "status": "reserved", "created_after": day}, True),
        ({"side": "off_ramp"}, False),
        ({"status": "settled"}, False),
        ({"created_before": day}, False),
        ({"created_after": "9999-12-31T23:59:59Z"}, False),
    ):
        assert [one["transactId"] for one in trades_of(await caller.list_trades(**query))] == (
            [trade["transactId"]] if found else []
        ), query


@pytest.mark.parametrize(
    ("query", "rest_field", "grpc_field"),
    [
        ({"limit": 101}, "limit", "page_size"),
        ({"limit": -1}, "limit", "page_size"),
        ({"cursor": "bm90IGEgY3Vyc29y"}, "cursor", "page_token"),
        ({"cursor": "not/one"}, "cursor", "page_token"),
    ],
)
async def test_what_does_not_fit_a_list_is_refused_naming_the_field(
    house: House, edge: str, query: dict[str, Any], rest_field: str, grpc_field: str
) -> None:
    answer = await of(house, edge, await house.onboard()).list_trades(**query)
    assert (answer.code, answer.field) == ("invalid_request", rest_field if edge == "rest" else grpc_field)


@pytest.mark.parametrize("field", ["created_after", "created_before"])
async def test_a_moment_in_no_year_that_can_be_kept_is_refused_naming_its_field(
    house: House, edge: str, field: str
) -> None:
    caller = of(house, edge, await house.onboard())
    for text, seconds in (("0001-01-01T00:00:00%2B14:00", -(10**12)), ("9999-12-31T23:59:59-14:00", 10**12)):
        message = partner_pb2.ListTradesRequest()
        getattr(message, f"{field}_time").CopyFrom(Timestamp(seconds=seconds))
        answer = await caller.call("GET", f"/v1/pools/trades?{field}={text}", "ListTrades", message)
        assert (answer.code, answer.field) == ("invalid_request", field if edge == "rest" else f"{field}_time")


async def test_a_cursor_is_good_for_its_own_list_alone(house: House, edge: str) -> None:
    partner, stranger = await house.onboard(money="1000.00"), await house.onboard("Other", money="1000.00")
    caller, others = of(house, edge, partner), of(house, edge, stranger)
    for number in range(2):
        for one in (caller, others):
            quoted = await of(house, "rest", partner if one is caller else stranger).create_quote()
            assert (await one.transact(quoted.body["quoteId"], f"key {number}")).code == "ok"
    for one in (partner, stranger):
        # Two entries a list, so that its first page has one behind it.
        await house.pay_in(one, "1.00")
    trades = str(cursor_of(await caller.list_trades(limit=1)))
    entries = await eventually(lambda: second_entry(caller), "the second entry is there")
    day = "2026-01-01T00:00:00Z"
    refused = [
        await others.list_trades(cursor=trades),
        *[
            await caller.list_trades(cursor=trades, **narrowed)
            for narrowed in ({"side": "on_ramp"}, {"status": "reserved"}, {"created_after": day})
        ],
        await caller.list_trades(cursor=entries),
        await caller.list_trades(cursor=trades[:-1] + ("A" if trades[-1] != "A" else "B")),
        await others.ledger(cursor=entries),
        await caller.ledger("GBP", cursor=entries),
        await caller.ledger(cursor=trades),
        await caller.ledger(cursor="A" + entries[1:] if entries[0] != "A" else "B" + entries[1:]),
    ]
    field = "cursor" if edge == "rest" else "page_token"
    assert [(answer.code, answer.field) for answer in refused] == [("invalid_request", field)] * len(refused)
    # Pages may change their size on the way.
    assert len(trades_of(await caller.list_trades(cursor=trades, limit=7))) == 1
    assert (await caller.ledger(cursor=entries, limit=7)).code == "ok"


async def second_entry(caller: Caller) -> str | None:
    return cursor_of(await caller.ledger(limit=1))


@pytest.mark.parametrize(
    "query", ["side=buy", "status=open", "created_after=yesterday", "created_before=2026-01-01T00:00:00", "limit=x"]
)
async def test_words_that_are_none_are_refused(house: House, edge: str, query: str) -> None:
    partner = await house.onboard()
    headers = {"authorization": f"Bearer {partner.secret_key}"}
    response = await house.http.get(f"{house.gateway.rest}/v1/pools/trades?{query}", headers=headers)
    assert (response.status_code, response.json()["message"].partition(":")[0]) == (400, query.partition("=")[0])
