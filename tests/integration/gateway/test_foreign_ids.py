"""Another organization's ids: answered as ids that nobody has, to the byte, over both edges, and in the same time."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pools.gateway.v1 import partner_pb2
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import Partner, RunningGateway, publish_rates
from tests.integration.gateway.neighbours import House
from tests.integration.gateway.test_every_operation import OPERATIONS

TIMED_CALLS = 30
OWN = {"x-request-id", "date", "ratelimit"}
"""What differs between any two answers."""
ABSENT = {"quote": "pq_test_" + "0" * 26, "trade": "pt_test_" + "0" * 26}
POOLS_ONLY = {"create_quote", "get_capabilities", "get_balance"}
"""Pools belong to nobody: one that exists and is not allowed is 403 by the contract."""

_numbers = count()


@dataclass(frozen=True)
class Asking:
    """An operation that takes an id of a kind that belongs to somebody."""

    operation: str
    kind: str
    method: str
    path: str
    rpc: str
    message: Callable[[str], Message]
    body: Callable[[str], Any] = lambda _: None


ASKING = (
    Asking(
        "get_quote", "quote", "GET", "/v1/pools/quotes/{}", "GetQuote",
        lambda i: partner_pb2.GetQuoteRequest(quote_id=i),
    ),
    Asking(
        "reject_quote", "quote", "POST", "/v1/pools/quotes/{}/reject", "RejectQuote",
        lambda i: partner_pb2.RejectQuoteRequest(quote_id=i),
    ),
    Asking(
        "transact", "quote", "POST", "/v1/pools/EUR-USDT/transact", "TransactQuote",
        lambda i: partner_pb2.TransactQuoteRequest(pool_id="EUR-USDT", quote_id=i), lambda i: {"quoteId": i},
    ),
    Asking(
        "get_transaction", "quote", "GET", "/v1/pools/transactions/{}", "GetTransaction",
        lambda i: partner_pb2.GetTransactionRequest(quote_id=i),
    ),
    Asking(
        "get_trade", "trade", "GET", "/v1/pools/trades/{}", "GetTrade",
        lambda i: partner_pb2.GetTradeRequest(transact_id=i),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Foreign:
    """Ids of one partner, and the key of another."""

    house: House
    stranger: Partner
    ids: dict[str, list[str]]


@pytest.fixture(scope="module")
async def foreign(standing_house: House) -> Foreign:
    """A partner with an active quote and an accepted one, and a stranger with as much money."""
    house = standing_house
    await publish_rates(house.quote)
    owner, stranger = await house.onboard(money="500.00"), await house.onboard(money="500.00")
    caller = Caller(house.gateway, house.http, "rest", owner.secret_key)
    active, accepted = [(await caller.create_quote()).body["quoteId"] for _ in range(2)]
    trade = (await caller.transact(accepted, "one")).body["transactId"]
    return Foreign(house, stranger, {"quote": [active, accepted], "trade": [trade]})


def sender(foreign: Foreign, edge: str, asking: Asking) -> Callable[[str], Awaitable[object]]:
    """Asks as the stranger and answers all there is to see, but for what differs between any two answers."""
    key = f"Bearer {foreign.stranger.secret_key}"
    if edge == "rest":
        return lambda asked: _over_rest(foreign.house.http, foreign.house.gateway, key, asking, asked)
    return lambda asked: _over_grpc(foreign.house.gateway, key, asking, asked)


async def _over_rest(http: httpx.AsyncClient, gateway: RunningGateway, key: str, asking: Asking, asked: str) -> object:
    headers = {"authorization": key, "idempotency-key": f"foreign {next(_numbers)}"}
    url = gateway.rest + asking.path.format(asked)
    response = await http.request(asking.method, url, json=asking.body(asked), headers=headers)
    body = {name: value for name, value in response.json().items() if name != "request_id"}
    return response.status_code, sorted((n, v) for n, v in response.headers.items() if n not in OWN), body


async def _over_grpc(gateway: RunningGateway, key: str, asking: Asking, asked: str) -> object:
    multi = gateway.partner.channel.unary_unary(
        f"/pools.gateway.v1.PartnerService/{asking.rpc}",
        request_serializer=lambda message: message.SerializeToString(),
    )
    metadata = (("authorization", key), ("idempotency-key", f"foreign {next(_numbers)}"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await multi._inner(asking.message(asked), timeout=5, metadata=metadata)
    error = raised.value
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailing.pop("grpc-status-details-bin")))
    details = [str(one) for one in status.details if not one.Is(error_details_pb2.RequestInfo.DESCRIPTOR)]
    return error.code(), error.details(), details, sorted(name for name in trailing), status.message


def test_every_operation_that_takes_an_id_is_asked() -> None:
    taking = {operation.name for operation in OPERATIONS if "{" in operation.path}
    assert taking == {asking.operation for asking in ASKING} | POOLS_ONLY


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("asking", ASKING, ids=lambda asking: asking.operation)
async def test_anothers_id_answers_as_an_absent_one_to_the_byte_and_in_the_same_time(
    foreign: Foreign, edge: str, asking: Asking
) -> None:
    send = sender(foreign, edge, asking)
    expected = await send(ABSENT[asking.kind])
    assert "not_found" in str(expected).lower()
    for asked in foreign.ids[asking.kind]:
        assert await send(asked) == expected
        took: dict[str, list[float]] = {asked: [], ABSENT[asking.kind]: []}
        # Turn by turn, so that whatever else the machine does meets both alike.
        for _ in range(TIMED_CALLS):
            for one, seconds in took.items():
                started = time.perf_counter()
                await send(one)
                seconds.append(time.perf_counter() - started)
        slow, fast = sorted((median(seconds) for seconds in took.values()), reverse=True)
        assert slow < 2 * fast
