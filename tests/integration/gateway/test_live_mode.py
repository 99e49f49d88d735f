"""A gateway of live mode lets in live keys of organizations that are entitled in live mode, and nobody else."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx

from poolkit.security import new_api_key
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import start_gateway


async def test_keys_and_entitlements_of_test_mode_are_worth_nothing_in_live_mode(
    postgres: RunningPostgres, http: httpx.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        live = await start_gateway(stack, postgres, mode="live", allow_private_endpoints=False)
        entitled = await live.new_partner()
        for edge in EDGES:
            callers = {
                "of live mode": entitled.secret_key,
                "publishable": entitled.publishable_key,
                "unknown": new_api_key("sk", "live"),
                "of test mode": new_api_key("sk", "test"),
                "entitled in test mode": (await live.new_partner(entitled_in="test")).secret_key,
                "not entitled": (await live.new_partner(entitled=False)).secret_key,
            }
            codes = {who: (await Caller(live, http, edge, key).list_pools()).code for who, key in callers.items()}
            assert codes == {
                # Through the gates, to a colleague who is not there.
                "of live mode": "unavailable",
                "publishable": "unavailable",
                "unknown": "unauthorized",
                "of test mode": "key_mode_mismatch",
                "entitled in test mode": "pools_not_enabled",
                "not entitled": "pools_not_enabled",
            }
