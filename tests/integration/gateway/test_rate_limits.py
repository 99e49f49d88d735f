"""Rate limits from outside: who is over them is told when to come back, over both edges, and everyone else goes on."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import grpc
import httpx
import pytest

from gateway.app import rate_limits
from gateway.domain.entitlement import EntitlementChange, EntitlementStatus
from pools.gateway.v1 import partner_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import RunningGateway, start_gateway
from tests.integration.gateway.test_request_log import rows_of

BURST = 4
FIELD = re.compile(r'"(key|organization)";r=(\d+);t=(\d+)')


class Clock:
    """What buckets fill by. It stands still until told, so that a slow machine lets nobody in."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> int:
        return round(self.now * 1e9)


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    """The clock of every bucket in this process."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "monotonic_ns", clock)
        yield clock


@pytest.fixture(scope="module")
async def limited(clock: Clock, postgres: RunningPostgres) -> AsyncIterator[RunningGateway]:
    """A gateway that lets each key call four times, then once a second; an organization six times."""
    async with AsyncExitStack() as stack:
        yield await start_gateway(
            stack,
            postgres,
            key_calls_per_second=1,
            key_calls_burst=BURST,
            organization_calls_per_second=1,
            organization_calls_burst=BURST + 2,
        )


@pytest.mark.parametrize("edge", EDGES)
async def test_a_key_over_its_limit_is_told_when_to_come_back_and_then_let_in(
    limited: RunningGateway, http: httpx.AsyncClient, clock: Clock, edge: str
) -> None:
    caller = Caller(limited, http, edge, (await limited.new_partner()).secret_key)
    answers = [await caller.get_trade("pt_test_1") for _ in range(BURST + 1)]
    assert [answer.code for answer in answers] == ["unavailable"] * BURST + ["rate_limited"]
    refused = answers[-1]
    assert refused.retry_after == 1
    [row] = await rows_of(limited.database, refused.request_id, 1)
    assert (row["outcome"], row["http_status"], row["edge"]) == ("rate_limited", 429, edge)
    assert row["operation"] == "get_trade"
    clock.now += refused.retry_after
    assert (await caller.get_trade("pt_test_1")).code == "unavailable"


@pytest.mark.parametrize("edge", EDGES)
async def test_an_organizations_keys_share_a_limit_but_a_publishable_key_spends_none_of_it(
    limited: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    partner = await limited.new_partner()
    public = Caller(limited, http, edge, partner.publishable_key)
    assert [(await public.list_pools()).code for _ in range(BURST + 1)] == ["unavailable"] * BURST + ["rate_limited"]
    secret = Caller(limited, http, edge, partner.secret_key)
    assert (await secret.get_trade("pt_test_1")).code == "unavailable"


@pytest.mark.parametrize("edge", EDGES)
async def test_gates_come_before_the_limit_and_the_limit_before_size_and_schema(
    limited: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    shut = await limited.new_partner(EntitlementChange(status=EntitlementStatus.SUSPENDED))
    caller = Caller(limited, http, edge, shut.secret_key)
    assert {(await caller.list_pools()).code for _ in range(BURST + 3)} == {"pool_access_suspended"}
    caller = Caller(limited, http, edge, (await limited.new_partner()).secret_key)
    for _ in range(BURST):
        await caller.get_trade("pt_test_1")
    assert (await caller.create_quote(amount="none", clientReference="x" * 70_000)).code == "rate_limited"
    browser = await caller.list_pools(origin="https://shop.example")
    assert browser.code == "secret_key_in_browser"


async def test_rest_answers_say_what_is_left_refused_or_not(limited: RunningGateway, http: httpx.AsyncClient) -> None:
    partner = await limited.new_partner()
    headers = {"authorization": f"Bearer {partner.publishable_key}"}
    left = []
    for _ in range(BURST):
        response = await http.get(f"{limited.rest}/v1/pools", headers=headers)
        assert response.headers["ratelimit-policy"] == '"key";q=4;w=4, "organization";q=6;w=6'
        left.append({name: int(calls) for name, calls, _ in FIELD.findall(response.headers["ratelimit"])})
    assert left[0] == {"key": BURST - 1, "organization": BURST + 1}
    assert left[-1] == {"key": 0, "organization": 2}
    refused = await http.get(f"{limited.rest}/v1/pools", headers=headers)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.headers["ratelimit"] == '"key";r=0;t=1'
    assert "ratelimit" in refused.headers["access-control-expose-headers"]
    unknown = await http.get(f"{limited.rest}/v1/pools", headers={"authorization": "Bearer sk_test_noise"})
    assert "ratelimit" not in unknown.headers


async def test_over_grpc_a_refusal_carries_the_same_in_its_metadata(limited: RunningGateway) -> None:
    partner = await limited.new_partner()
    multi = limited.partner.channel.unary_unary(
        "/pools.gateway.v1.PartnerService/ListPools",
        request_serializer=partner_pb2.ListPoolsRequest.SerializeToString,
    )
    metadata = (("authorization", f"Bearer {partner.publishable_key}"),)
    for _ in range(BURST + 1):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await multi._inner(partner_pb2.ListPoolsRequest(), timeout=5, metadata=metadata)
    refused = raised.value
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailing = dict(refused.trailing_metadata() or ())
    assert trailing["ratelimit"] == '"key";r=0;t=1'
    assert trailing["ratelimit-policy"] == '"key";q=4;w=4, "organization";q=6;w=6'
    assert trailing["retry-after"] == "1"
