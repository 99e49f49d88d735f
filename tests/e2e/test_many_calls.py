"""The sandbox is there to be measured against: many calls in flight are never too many of one key."""

import asyncio

import aiohttp

from tests.e2e.partners import Partner

IN_FLIGHT, ROUNDS = 200, 10


async def test_two_hundred_calls_in_flight_are_let_in_again_and_again(partner: Partner) -> None:
    url, headers = partner.rest.http.base_url.join("/v1/pools"), {"Authorization": f"Bearer {partner.secret_key}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT), headers=headers) as http:

        async def call() -> int:
            async with http.get(str(url)) as answer:
                return answer.status

        for _ in range(ROUNDS):
            assert set(await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))) == {200}
