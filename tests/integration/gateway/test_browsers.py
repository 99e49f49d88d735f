"""What a browser may read: the list of pools and why it was refused, from any origin, and nothing else."""

import asyncio

import httpx
import pytest

from tests.integration.gateway.house import RunningGateway


async def test_listing_pools_is_open_to_every_origin_and_nothing_else_is(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner = await alone.new_partner()
    origin = {"origin": "https://shop.example", "access-control-request-method": "GET"}
    preflight = await http.options(f"{alone.rest}/v1/pools", headers=origin)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-methods"] == "GET"
    for key in ("", partner.secret_key, partner.publishable_key):
        headers = {**origin, "authorization": f"Bearer {key}"} if key else origin
        error = await http.get(f"{alone.rest}/v1/pools", headers=headers)
        assert error.status_code != 200
        assert error.headers["access-control-allow-origin"] == "*"
    for path in ("/v1/pools/EUR-USDT/quote", "/v1/pools/ledger?currency=EUR", "/nowhere"):
        for response in (
            await http.get(alone.rest + path, headers=origin),
            await http.options(alone.rest + path, headers=origin),
        ):
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["/v1/pools", "/v1/pools/ledger"])
async def test_a_browser_may_read_why_a_head_is_refused_where_it_may_list_pools(
    alone: RunningGateway, http: httpx.AsyncClient, path: str
) -> None:
    many = {f"x-{number}": "y" for number in range(101)}
    refused = {
        "too many headers": await http.get(alone.rest + path, headers=many),
        "a header that is too long": await http.get(alone.rest + path, headers={"x": "y" * 33_000}),
        "a query that is too long": await http.get(f"{alone.rest}{path}?{'x' * 4097}"),
    }
    assert {response.status_code for response in refused.values()} == {400, 431}
    for what, response in refused.items():
        assert ("access-control-allow-origin" in response.headers) == (path == "/v1/pools"), what
    assert "access-control-allow-origin" not in (await http.post(alone.rest + path, headers=many)).headers

    reader, writer = await asyncio.open_connection(*alone.rest.removeprefix("http://").split(":"))
    writer.write(f"GET {path}?limit=1 HTTP/1.1\r\nx: {'y' * 1_000_000}".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    assert head.startswith(b"HTTP/1.1 431 ")
    assert (b"access-control-allow-origin: *" in head) == (path == "/v1/pools")
