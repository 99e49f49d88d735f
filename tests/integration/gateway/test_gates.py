"""Rows of the gates that come in several shapes; `test_every_operation` has the whole table in its order."""

import httpx
import pytest

from poolkit.security import new_api_key
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import RunningGateway

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


@pytest.mark.parametrize(
    ("sign", "value"),
    [
        ("origin", "https://shop.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
    ],
)
async def test_a_secret_key_in_a_browser_is_refused_and_a_publishable_one_is_not(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str, sign: str, value: str
) -> None:
    partner = await alone.new_partner()
    answer = await Caller(alone, http, edge, partner.secret_key).list_pools(**{sign: value})
    assert answer.code == "secret_key_in_browser"
    # Through the gates, to a colleague who is not there.
    assert (await Caller(alone, http, edge, partner.publishable_key).list_pools(**{sign: value})).code == "unavailable"


async def test_nodes_fetch_is_no_browser(alone: RunningGateway, http: httpx.AsyncClient, edge: str) -> None:
    partner = await alone.new_partner()
    answer = await Caller(alone, http, edge, partner.secret_key).get_trade("pt_test_1")
    sent_by_node = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "referer": "https://shop.example/"}
    same = await Caller(alone, http, edge, partner.secret_key).list_pools(**sent_by_node)
    assert (answer.code, same.code) == ("unavailable", "unavailable")
