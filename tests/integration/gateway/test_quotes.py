"""Pools and quotes over both edges, priced and kept by the real quote service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from gateway.domain.entitlement import EntitlementChange
from gateway.domain.views import pools_view, quote_view
from poolkit import page_tokens
from pools_contracts.quote import QuoteClient
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.integration.gateway.house import (
    POOLS,
    RunningGateway,
    publish_rates,
    start_gateway,
    start_quote,
)
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("edge", EDGES)


@pytest.fixture(scope="module")
async def standing(postgres: RunningPostgres, bootstrap: str) -> AsyncIterator[tuple[RunningGateway, QuoteClient]]:
    """A gateway with the quote service behind it and nobody else."""
    async with AsyncExitStack() as stack:
        quote_address, quote = await start_quote(stack, postgres, bootstrap)
        yield await start_gateway(stack, postgres, quote_address=quote_address), quote


@pytest.fixture
async def priced(standing: tuple[RunningGateway, QuoteClient]) -> RunningGateway:
    """The gateway, with rates that are fresh when the test begins."""
    gateway, quote = standing
    await publish_rates(quote)
    return gateway


def quote_of(answer: Answer) -> dict[str, Any]:
    """The quote as JSON, whichever way it came."""
    assert answer.code == "ok", answer
    return answer.body if isinstance(answer.body, dict) else quote_view(answer.body.quote)


async def test_a_partner_sees_the_pools_it_may_use_and_no_other(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    partner = await priced.new_partner()
    for key in (partner.secret_key, partner.publishable_key):
        answer = await Caller(priced, http, edge, key).list_pools()
        if edge == "rest":
            pools = answer.body["pools"]
        else:
            assert [pool.pair for pool in answer.body.pools] == ["EUR/USDC", "EUR/USDT", "GBP/USDT"]
            pools = pools_view(pools=answer.body.pools, next_cursor="")["pools"]
        assert [pool["id"] for pool in pools] == list(POOLS)
        assert pools[1] == {
            "id": "EUR-USDT",
            "pair": "EUR/USDT",
            "fiatCurrency": "EUR",
            "cryptoCurrency": "USDT",
            "available": True,
        }


async def test_pools_are_listed_page_by_page_and_only_with_a_cursor_of_this_list(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller, another = [Caller(priced, http, edge, (await priced.new_partner()).publishable_key) for _ in range(2)]

    def page(answer: Answer) -> tuple[list[str], str]:
        if edge == "rest":
            assert answer.body["hasMore"] == (answer.body["nextCursor"] is not None)
            return [pool["id"] for pool in answer.body["pools"]], answer.body["nextCursor"] or ""
        return [pool.pool_id for pool in answer.body.pools], answer.body.next_page_token

    first, cursor = page(await caller.list_pools(limit=2))
    assert (first, page(await caller.list_pools(limit=2, cursor=cursor))) == (list(POOLS[:2]), ([POOLS[2]], ""))
    assert page(await caller.list_pools(limit=3)) == (list(POOLS), "")
    ledger_cursor = page_tokens.make("1", "ledger")
    for limit, wrong in ((101, ""), (-1, ""), (2, "x"), (2, ledger_cursor)):
        refused = await caller.list_pools(limit=limit, cursor=wrong)
        field = ("cursor", "page_token") if wrong else ("limit", "page_size")
        assert (refused.code, refused.field) == ("invalid_request", field[edge == "grpc"])
    assert (await another.list_pools(limit=2, cursor=cursor)).code == "invalid_request"


async def test_a_firm_quote_is_priced_as_the_contract_says_and_can_be_read_again(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    quote = quote_of(await caller.create_quote())
    assert quote["quoteId"].startswith("pq_test_")
    expected = {
        "fiatAmount": "100.00",
        "cryptoAmount": "107.904009",
        "rate": "1.085000",
        "spreadBps": 35,
        "feeBps": 20,
        "feeAmount": "0.20",
    }
    assert {name: quote[name] for name in expected} == expected
    assert (quote["status"], quote["type"], quote["clientReference"]) == ("active", "firm", "order_1")
    assert quote_of(await caller.get_quote(quote["quoteId"])) == quote


async def test_an_indicative_quote_is_a_price_and_nothing_else(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    quote = quote_of(await caller.create_quote(type="indicative", clientReference=None))
    assert (quote["quoteId"], quote["type"], quote["cryptoAmount"]) == (None, "indicative", "107.904009")
    assert (quote["clientReference"], quote["expiresAt"]) == (None, None)


async def test_a_rejected_quote_stays_rejected(priced: RunningGateway, http: httpx.AsyncClient, edge: str) -> None:
    caller = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    quote_id = quote_of(await caller.create_quote())["quoteId"]
    assert quote_of(await caller.reject_quote(quote_id))["status"] == "rejected"
    assert (await caller.reject_quote(quote_id)).code == "quote_rejected"
    assert quote_of(await caller.get_quote(quote_id))["status"] == "rejected"


async def test_anothers_quote_answers_as_an_absent_one_does(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    owner = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    stranger = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    quote_id = quote_of(await owner.create_quote())["quoteId"]
    absent = quote_id[:-4] + "0000"
    for ask in (stranger.get_quote, stranger.reject_quote):
        theirs, nobodys = await ask(quote_id), await ask(absent)
        assert theirs.code == nobodys.code == "not_found"
        if edge == "rest":
            for answer in (theirs, nobodys):
                del answer.body["request_id"]
            assert theirs.body == nobodys.body
    assert quote_of(await owner.get_quote(quote_id))["status"] == "active"


@pytest.mark.parametrize(
    ("pool_id", "changes", "code", "field"),
    [
        ("USD-USDT", {}, "pool_not_allowed", ""),
        ("EUR-DOGE", {}, "not_found", ""),
        ("USD-USDT", {"amount": "x"}, "invalid_request", "amount"),
        ("EUR-USDT", {"amount": "0.99"}, "invalid_request", "amount"),
        ("EUR-USDT", {"amount": "50000.01"}, "invalid_request", "amount"),
        ("EUR-USDT", {"amountCurrency": "USDC"}, "invalid_request", "amountCurrency"),
        ("USD-USDT", {"amountCurrency": "XXX"}, "invalid_request", "amountCurrency"),
        ("EUR-USDT", {"network": "carrier-pigeon"}, "invalid_request", "network"),
        ("EUR-USDT", {"destinationAddress": "x"}, "invalid_request", "destinationAddress"),
        ("EUR-USDT", {"side": "off_ramp", "destinationAddress": None}, "off_ramp_not_enabled", ""),
        ("EUR-DOGE", {"side": "off_ramp", "destinationAddress": None}, "not_found", ""),
    ],
)
async def test_what_cannot_be_quoted_is_refused_in_the_contracts_order(
    priced: RunningGateway,
    http: httpx.AsyncClient,
    edge: str,
    pool_id: str,
    changes: dict[str, Any],
    code: str,
    field: str,
) -> None:
    caller = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    answer = await caller.create_quote(pool_id, **changes)
    in_messages = {"destinationAddress": "destination_address", "amountCurrency": "amount.currency"}
    assert (answer.code, answer.field) == (code, in_messages.get(field, field) if edge == "grpc" else field)


async def test_with_off_ramp_enabled_a_sale_is_quoted(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    partner = await priced.new_partner(EntitlementChange(off_ramp_enabled=True))
    quote = quote_of(
        await Caller(priced, http, edge, partner.secret_key).create_quote(
            side="off_ramp", amount="100", amountCurrency="USDT", destinationAddress=None
        )
    )
    assert (quote["side"], quote["destinationAddress"]) == ("off_ramp", None)


async def test_a_quote_that_cannot_be_given_now_is_an_answer(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller = Caller(priced, http, edge, (await priced.new_partner()).secret_key)
    # More than the pool has: the sum of many is, where each alone would fit.
    for _ in range(40):
        quote = quote_of(await caller.create_quote("GBP-USDT", amount="50000.00", amountCurrency="GBP"))
        if not quote["available"]:
            break
    assert (quote["unavailableReason"], quote["quoteId"], quote["rate"]) == ("pool_dry", None, None)
    assert (quote["fiatAmount"], quote["cryptoAmount"]) == ("50000.00", None)
    assert (quote["pair"], quote["fiatCurrency"], quote["cryptoCurrency"]) == ("GBP/USDT", "GBP", "USDT")


async def test_the_journey_of_a_call_is_on_record_with_the_quotes_id(
    priced: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    partner = await priced.new_partner()
    answer = await Caller(priced, http, edge, partner.secret_key).create_quote()
    quote_id = quote_of(answer)["quoteId"]

    async def logged() -> bool:
        row = await priced.database.fetch_row("SELECT * FROM request_log WHERE quote_id = $1", quote_id)
        return row is not None and (row["outcome"], row["client_reference"]) == ("ok", "order_1")

    await eventually(logged, "the call is on record", seconds=5)
