"""How old the pools may be that partners are shown: a moment, and not one longer."""

from contextlib import AsyncExitStack
from types import SimpleNamespace

import httpx
import pytest

from gateway.outbound import quotes
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import move_treasury, start_gateway, start_quote


async def test_a_list_of_pools_is_shown_again_for_a_moment_and_then_asked_for_anew(
    postgres: RunningPostgres, bootstrap: str, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=1.0)
    monkeypatch.setattr(quotes, "time", clock)
    async with AsyncExitStack() as stack:
        quote_address, quote = await start_quote(stack, postgres, bootstrap)
        gateway = await start_gateway(stack, postgres, quote_address=quote_address)
        caller = Caller(gateway, http, "rest", (await gateway.new_partner()).secret_key)

        async def available() -> bool:
            pools = {pool["id"]: pool for pool in (await caller.list_pools()).body["pools"]}
            return bool(pools["EUR-USDT"]["available"])

        assert await available()
        await move_treasury(quote, ("EUR-USDT", "-1000000", "USDT"))
        clock.now += quotes.POOLS_REUSED_SECONDS * 0.9
        assert await available()
        clock.now += quotes.POOLS_REUSED_SECONDS * 0.2
        assert not await available()
