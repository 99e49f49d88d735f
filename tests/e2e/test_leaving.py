"""A replica of the gateway and one of trade leave the running stack under load, and no call fails over either edge."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from poolctl.session import Addresses, Session
from poolctl.stack import Stack
from poolctl.stack.parts import ProgramPart
from poolctl.stack.programs import SERVICES, Program, Wiring
from tests.e2e.databases import Databases
from tests.e2e.partners import PartnerFactory
from tests.e2e.rolling import proxy
from tests.e2e.rolling.calling import at_work
from tests.waiting import eventually

BESIDE = ("trade-2", "gateway-2", "gateway-3")
"""The stack's own gateway knows one replica of trade, so it takes no part."""


def _row(name: str) -> Program:
    service = next(program for program in SERVICES if program.name == name.partition("-")[0])

    def told(wiring: Wiring) -> dict[str, str]:
        both = f"ipv4:{wiring.address('trade.grpc')},{wiring.address('trade-2.grpc')}"
        own = dict(service.environment(wiring))
        return own | {"POOLS_TRADE_ADDRESS": both} if "POOLS_TRADE_ADDRESS" in own else own

    return replace(service, name=name, environment=told)


@pytest.fixture
async def beside(stack: Stack) -> AsyncIterator[dict[str, ProgramPart]]:
    """More replicas, on the stack's databases."""
    if proxy.find_haproxy() is None:
        pytest.skip(proxy.MISSING)
    rows = [_row(name) for name in BESIDE]
    stack.wiring.ports.choose([row.purpose(port) for row in rows for port in row.ports])
    parts = {row.name: ProgramPart(row, stack.wiring) for row in rows}
    try:
        await asyncio.gather(*(part.start({}) for part in parts.values()))
        yield parts
    finally:
        await asyncio.gather(*(part.process.stop() for part in parts.values()))


@pytest.fixture
async def door(
    stack: Stack, beside: dict[str, ProgramPart], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[proxy.Proxy]:
    """HAProxy before the two gateways."""
    directory = tmp_path_factory.mktemp("proxy")
    opened = proxy.Proxy(directory, ["gateway"])
    try:
        await opened.start({"gateway": [stack.wiring.address(f"{name}.partner_rest") for name in BESIDE[1:]]})
        yield opened
    finally:
        await opened.stop()
        shutil.rmtree(directory)


async def test_a_gateway_and_a_trade_leave_under_load_and_no_call_fails(
    stack: Stack,
    beside: dict[str, ProgramPart],
    door: proxy.Proxy,
    addresses: Addresses,
    session: Session,
    partners: PartnerFactory,
    databases: Databases,
) -> None:
    gateways = ",".join(stack.wiring.address(f"{name}.partner_grpc") for name in BESIDE[1:])
    reached = replace(addresses, rest=door.url("gateway"), grpc=f"ipv4:{gateways}")
    partner = await partners(endpoint=False)
    async with at_work(partner, session, reached, at_once=1) as patrons:
        for leaving in BESIDE[:2]:
            assert await beside[leaving].process.stop()
            more = patrons.noted.orders + 2
            await eventually(lambda more=more: patrons.noted.orders >= more, f"orders are made without {leaving}")

    async def ended() -> bool:
        query = "SELECT trade_id, status FROM trades WHERE organization_id = $1"
        rows = await databases.rows("trade", query, partner.organization_id)
        return {row["trade_id"]: row["status"] for row in rows} == patrons.noted.trades

    await eventually(ended, "every trade ended as it was to", seconds=30)
