"""The gates from outside: every row of the contract's table, the same over both edges."""

import httpx
import pytest

from poolkit.security import hash_key, new_api_key
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import PEPPER, RunningGateway
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("edge", EDGES)


async def test_without_a_key_or_with_none_that_is_one_the_answer_is_unauthorized(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    for authorization in ("", "Bearer", "Bearer nonsense", "Basic c2s6", "Bearer sk_test_", "Bearer sk_dev_abc"):
        answer = await Caller(alone, http, edge, "").list_pools(authorization=authorization)
        assert answer.code == "unauthorized", authorization


async def test_an_unknown_key_is_unauthorized_and_one_of_the_other_mode_says_so_first(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    assert (await Caller(alone, http, edge, new_api_key("sk", "test")).list_pools()).code == "unauthorized"
    assert (await Caller(alone, http, edge, new_api_key("sk", "live")).list_pools()).code == "key_mode_mismatch"
    assert (await Caller(alone, http, edge, "sk_live_noise").list_pools()).code == "key_mode_mismatch"


@pytest.mark.parametrize("sign", ["origin", "sec-fetch-site"])
async def test_a_secret_key_in_a_browser_is_refused(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str, sign: str
) -> None:
    partner = await alone.new_partner()
    answer = await Caller(alone, http, edge, partner.secret_key).list_pools(**{sign: "https://shop.example"})
    assert answer.code == "secret_key_in_browser"


async def test_nodes_fetch_is_no_browser(alone: RunningGateway, http: httpx.AsyncClient, edge: str) -> None:
    partner = await alone.new_partner()
    answer = await Caller(alone, http, edge, partner.secret_key).get_trade("pt_test_1")
    sent_by_node = await Caller(alone, http, edge, partner.secret_key).list_pools(**{"sec-fetch-mode": "cors"})
    assert (answer.code, sent_by_node.code) == ("unavailable", "unavailable")


async def test_a_suspension_and_a_revoked_key_are_refused_within_two_seconds(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller = Caller(alone, http, edge, (await alone.new_partner()).secret_key)
    partner = await alone.new_partner()
    suspended = Caller(alone, http, edge, partner.secret_key)
    assert {(await caller.get_trade("x")).code, (await suspended.get_trade("x")).code} == {"unavailable"}
    # Without a word to the replicas: what they remember has to grow old by itself.
    await alone.database.execute(
        "UPDATE entitlements SET status = 'suspended' WHERE organization_id = $1", partner.organization_id
    )
    await alone.database.execute(
        "UPDATE api_keys SET revoked_at = now() WHERE key_hash = $1", hash_key(caller.key, PEPPER.encode())
    )

    async def refused() -> bool:
        codes = (await caller.get_trade("x")).code, (await suspended.get_trade("x")).code
        return codes == ("unauthorized", "pool_access_suspended")

    await eventually(refused, "both are refused", seconds=2.5)
