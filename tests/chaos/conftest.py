"""A stack of the chaos tests' own, whose parts they kill and start again."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from poolctl.partner_api import PartnerApi
from poolctl.payin import pay_in
from poolctl.session import Addresses, Session
from poolctl.stack import Stack
from poolctl.stack.programs import PROGRAMS
from poolkit.security import sign_standard
from pools.gateway.v1 import admin_pb2
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.waiting import eventually

POOL = "EUR-USDT"
QUICK_RECOVERY = {"POOLS_RECOVERY_CLAIM_SECONDS": "1"}
"""So that a test need not wait the five seconds after which recovery takes an intent over."""
ENVIRONMENT = {program.name: {"POOLS_TRACE_SAMPLES_PER_SECOND_MAX": "1000"} for program in PROGRAMS}
ENVIRONMENT["trade"] |= QUICK_RECOVERY


@dataclass(slots=True)
class Customer:
    """A partner with a key and some money."""

    organization_id: str
    api: PartnerApi

    async def quote(self, destination: str = "TQchaoschaoschaoschaoschaosch0005", amount: str = "10.00") -> str:
        """A firm quote; by default for a destination whose settlement never reports."""
        body = {
            "side": "on_ramp",
            "amount": amount,
            "amountCurrency": "EUR",
            "network": "tron",
            "destinationAddress": destination,
        }
        return str((await self.api.create_quote(POOL, body))["quoteId"])


class Town:
    """A running stack, its databases as a superuser sees them, and the customers a test makes."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._customers: list[Customer] = []

    @property
    def addresses(self) -> Addresses:
        """Where the parts listen."""
        return Addresses.of(self.stack.addresses)

    async def rows(self, database: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Reads one service's tables."""
        connection = await asyncpg.connect(self.addresses.admin_databases[database])
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def value(self, database: str, query: str, *arguments: Any) -> Any:
        """The first column of the first row."""
        found = await self.rows(database, query, *arguments)
        return found[0][0] if found else None

    async def customer(self, *, funds: str = "100000.00") -> Customer:
        """A new partner; with funds, once they are booked."""
        async with Session(self.addresses) as session:
            made = await session.gateway.admin.CreateOrganization(admin_pb2.CreateOrganizationRequest(name="chaos"))
            customer = Customer(made.organization_id, PartnerApi(self.addresses.rest, made.secret_key))
            self._customers.append(customer)
            if funds:
                await pay_in(session, customer.organization_id, currency="EUR", amount=funds)

                async def booked() -> bool:
                    return bool((await customer.api.list_ledger("EUR"))["available"] == funds)

                await eventually(booked, "the pay-in is booked", seconds=30)
        return customer

    async def report(self, event: dict[str, Any]) -> None:
        """Tells of a trade as a settlement provider of the test's own."""
        source = f"chaos-{uuid.uuid4().hex[:8]}"
        async with Session(self.addresses) as session, httpx.AsyncClient(trust_env=False) as http:
            made = await session.webhook_ingest.admin.CreateSource(webhook_ingest_pb2.CreateSourceRequest(name=source))
            body = json.dumps({"occurredAt": datetime.now(UTC).isoformat(), **event}).encode()
            headers = sign_standard([made.secret], str(event["eventId"]), int(time.time()), body)
            url = f"{self.addresses.webhooks}/v1/webhooks/{source}"
            response = await http.post(url, content=body, headers=headers)
            assert response.status_code == 200, response.text

    async def close(self) -> None:
        """Lets the customers' connections go."""
        await asyncio.gather(*(customer.api.__aexit__(None, None, None) for customer in self._customers))


@pytest.fixture(scope="package")
async def town(tmp_path_factory: pytest.TempPathFactory, mtls: bool) -> AsyncIterator[Town]:
    """One stack for all chaos tests; each test leaves it with every part running."""
    directory: Path = tmp_path_factory.mktemp("chaos")
    stack = Stack(directory, environment=ENVIRONMENT, mtls=mtls)
    await stack.start()
    town = Town(stack)
    await town.value("quote", "UPDATE pools SET quote_ttl_ms = 300000")
    await town.value("quote", "UPDATE pool_tiers SET active_quotes_max = 10000")
    try:
        yield town
    finally:
        await town.close()
        await stack.stop()
        shutil.rmtree(directory, ignore_errors=True)
