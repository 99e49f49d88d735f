"""Two replicas of the gateway: whatever is changed at one is law at both within two seconds, over both edges.

Source: CONTRACT §4, deny-closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway.domain.entitlement import EntitlementChange
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import Partner, RunningGateway, start_gateway
from tests.integration.gateway.neighbours import House
from tests.waiting import eventually

SECONDS_MAX = 2.0
# For the calls themselves, on a machine that does other things too.
SLACK_SECONDS = 0.5


@pytest.fixture(scope="module")
async def replicas(postgres: RunningPostgres, standing_house: House) -> AsyncIterator[list[RunningGateway]]:
    """Two gateways on one database, in front of the house's services."""
    beside = standing_house.gateway.runtime.settings
    colleagues = {
        name: getattr(beside, name)
        for name in ("quote_address", "trade_address", "ledger_address", "webhook_ingest_address")
    }
    async with AsyncExitStack() as stack:
        first = await start_gateway(stack, postgres, **colleagues)
        yield [first, await start_gateway(stack, postgres, beside=first, **colleagues)]


async def code(caller: Caller) -> str:
    """Whether it is let in at all."""
    return (await caller.list_pools()).code


async def codes(callers: list[Caller]) -> set[str]:
    """What all of them are answered, asking at once."""
    return set(await asyncio.gather(*(code(caller) for caller in callers)))


async def tier(caller: Caller) -> str:
    body = (await caller.get_capabilities()).body
    return str(body["tier"] if caller.edge == "rest" else body.capabilities.tier)


async def quote(caller: Caller) -> str:
    return (await caller.create_quote(type="indicative")).code


async def sale(caller: Caller) -> str:
    answer = await caller.create_quote(type="indicative", side="off_ramp", destinationAddress=None)
    return answer.code


async def has_balance(caller: Caller) -> bool:
    body = (await caller.get_balance()).body
    return body["balance"] is not None if caller.edge == "rest" else bool(body.HasField("balance"))


async def purchase(caller: Caller) -> str:
    quoted = await caller.create_quote(amount="2.00")
    quote_id = quoted.body["quoteId"] if caller.edge == "rest" else quoted.body.quote.quote_id
    return (await caller.transact(quote_id, quote_id)).code


async def key_id_of(gateway: RunningGateway, partner: Partner) -> str:
    """The secret key's id."""
    found: str = await gateway.database.fetch_value(
        "SELECT key_id FROM api_keys WHERE organization_id = $1 AND kind = 'sk'", partner.organization_id
    )
    return found


async def revoke(gateway: RunningGateway, partner: Partner) -> None:
    request = admin_pb2.RevokeKeyRequest(key_id=await key_id_of(gateway, partner))
    await gateway.internal.admin.RevokeKey(request)


async def rotate_out(gateway: RunningGateway, partner: Partner) -> None:
    request = admin_pb2.RotateKeyRequest(key_id=await key_id_of(gateway, partner))
    request.overlap.FromSeconds(0)
    await gateway.internal.admin.RotateKey(request)


def entitle(**changes: Any) -> Callable[[RunningGateway, Partner], Awaitable[None]]:
    """A change of the entitlement by the RPC."""

    async def change(gateway: RunningGateway, partner: Partner) -> None:
        request = admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, **changes)
        await gateway.internal.admin.UpdateEntitlement(request)

    return change


@dataclass(frozen=True)
class Change:
    """Something that is changed: by an RPC, or in the table behind everyone's back; and how a partner sees it."""

    by_rpc: Callable[[RunningGateway, Partner], Awaitable[None]]
    in_table: str
    see: Callable[[Caller], Awaitable[object]]
    before: object
    after: object
    made: EntitlementChange = field(default_factory=EntitlementChange)


ENTITLEMENT = "UPDATE entitlements SET {} WHERE organization_id = $1"
CHANGES = {
    "key revoked": Change(
        revoke, "UPDATE api_keys SET revoked_at = now() WHERE organization_id = $1", code, "ok", "unauthorized"
    ),
    "key rotated out": Change(
        rotate_out, "UPDATE api_keys SET expires_at = now() WHERE organization_id = $1", code, "ok", "unauthorized"
    ),
    "suspended": Change(
        entitle(status=admin_pb2.ENTITLEMENT_STATUS_SUSPENDED),
        ENTITLEMENT.format("status = 'suspended'"),
        code,
        "ok",
        "pool_access_suspended",
    ),
    "KYC revoked": Change(
        entitle(kyc_status=admin_pb2.KYC_STATUS_REVOKED),
        ENTITLEMENT.format("kyc_status = 'revoked'"),
        code,
        "ok",
        "kyc_not_approved",
    ),
    "tier": Change(entitle(tier="premium"), ENTITLEMENT.format("tier = 'premium'"), tier, "standard", "premium"),
    "pools": Change(
        entitle(pools=admin_pb2.PoolList(pool_ids=["GBP-USDT"])),
        ENTITLEMENT.format("pool_ids = '{GBP-USDT}'"),
        quote,
        "ok",
        "pool_not_allowed",
    ),
    "off-ramp taken away": Change(
        entitle(off_ramp_enabled=False),
        ENTITLEMENT.format("off_ramp_enabled = false"),
        sale,
        "ok",
        "off_ramp_not_enabled",
        EntitlementChange(off_ramp_enabled=True),
    ),
    "balance gate": Change(
        entitle(balance_gate_enabled=False),
        ENTITLEMENT.format("balance_gate_enabled = false"),
        has_balance,
        True,
        False,
    ),
    "cap": Change(
        entitle(notional_caps=[types_pb2.Money(amount="1.00", currency="EUR")]),
        "INSERT INTO notional_caps VALUES ($1, 'test', 'EUR', 1.00)",
        purchase,
        "ok",
        "velocity_exceeded",
        EntitlementChange(balance_gate_enabled=False),
    ),
}


@pytest.mark.parametrize("way", ["by RPC", "in the table, with nobody told"])
async def test_every_change_is_law_at_both_replicas_within_two_seconds(
    house: House, replicas: list[RunningGateway], way: str
) -> None:
    first = replicas[0]

    async def check(name: str, change: Change) -> None:
        partner = await first.new_partner(change.made)
        callers = [Caller(one, house.http, edge, partner.secret_key) for one in replicas for edge in EDGES]
        # Known to both replicas as it was.
        assert [await change.see(caller) for caller in callers] == [change.before] * 4, name
        if way == "by RPC":
            await change.by_rpc(first, partner)
        else:
            await first.database.execute(change.in_table, partner.organization_id)

        async def law() -> bool:
            return all([await change.see(caller) == change.after for caller in callers])

        await eventually(law, name, seconds=SECONDS_MAX + SLACK_SECONDS, every_seconds=0.1)

    async with asyncio.TaskGroup() as group:
        for name, change in CHANGES.items():
            group.create_task(check(name, change))


async def test_while_the_store_does_not_answer_nobody_is_let_in(
    house: House, replicas: list[RunningGateway], http: httpx.AsyncClient
) -> None:
    first = replicas[0]
    known, unknown = await first.new_partner(), await first.new_partner()
    callers = [Caller(one, http, edge, known.secret_key) for one in replicas for edge in EDGES]
    strangers = [Caller(one, http, edge, unknown.secret_key) for one in replicas for edge in EDGES]
    assert await codes(callers) == {"ok"}
    async with first.database.transaction() as unit:
        # Reached, and silent: worse than out of reach.
        await unit.execute("LOCK TABLE entitlements IN ACCESS EXCLUSIVE MODE")
        assert await codes(strangers) == {"unavailable"}

        async def shut() -> bool:
            return await codes(callers) == {"unavailable"}

        # The last of them asks just before two seconds are over, and waits a second for its own answer.
        await eventually(shut, "who was known is let in no more", seconds=SECONDS_MAX + 1 + SLACK_SECONDS)

    async def open_again() -> bool:
        return await codes([*callers, *strangers]) == {"ok"}

    await eventually(open_again, "everyone is let in again")
