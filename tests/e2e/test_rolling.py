"""Every replica of every service is replaced under load, and nobody who calls can tell: no failure, no lost record."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal

import pytest

from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from poolctl.stack.programs import SERVICES
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import PartnerFactory
from tests.e2e.rolling import proxy, reckoning
from tests.e2e.rolling.fleet import Fleet, replicas_of
from tests.e2e.rolling.patrons import Noted, Patrons
from tests.waiting import eventually

FUNDS = Decimal("500000.00")
AT_ONCE = 2
"""Orders under way over each edge."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A fleet at work, and ways to look at it."""

    fleet: Fleet
    session: Session
    receiver: WebhookReceiver
    databases: Databases

    async def hire(self, stack: AsyncExitStack) -> tuple[Patrons, Callable[[Noted], Awaitable[None]]]:
        """Callers of a new partner, and what will compare their notes with the books."""
        partners = PartnerFactory(self.session, self.receiver)
        stack.push_async_callback(partners.close)
        partner = await partners(paid_in=str(FUNDS))
        source = f"rolling-{partner.organization_id[-6:].lower()}"
        made = await self.session.webhook_ingest.admin.CreateSource(webhook_ingest_pb2.CreateSourceRequest(name=source))
        addresses = self.session.addresses
        patrons = Patrons(
            partner,
            rest=addresses.rest,
            address=addresses.grpc,
            webhooks=addresses.webhooks,
            source=source,
            secret=made.secret,
        )
        stack.push_async_callback(patrons.close)

        async def reckon(noted: Noted) -> None:
            await reckoning.check(
                noted,
                partner=partner,
                funds=FUNDS,
                session=self.session,
                databases=self.databases,
                receiver=self.receiver,
                poolctl=Poolctl(addresses.data_dir),
            )

        return patrons, reckon


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Two replicas of each service behind round robin, and behind a proxy."""
    if proxy.find_haproxy() is None:
        pytest.skip(proxy.MISSING)
    directory = tmp_path_factory.mktemp("rolling")
    fleet = Fleet(directory)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(fleet.stop)
        await fleet.start()
        session = await stack.enter_async_context(Session(fleet.addresses))
        receiver = await stack.enter_async_context(WebhookReceiver())
        databases = Databases(fleet.addresses)
        stack.push_async_callback(databases.close)
        yield Scene(fleet, session, receiver, databases)
    shutil.rmtree(directory)


@pytest.mark.long
async def test_every_replica_is_replaced_under_load_and_no_call_fails(scene: Scene) -> None:
    async with AsyncExitStack() as stack:
        patrons, reckon = await scene.hire(stack)
        calling = asyncio.create_task(patrons.call(at_once=AT_ONCE))
        await eventually(lambda: patrons.noted.journeys >= 2 * AT_ONCE, "orders are made", seconds=30)
        for service in SERVICES:
            for replica in replicas_of(service.name):
                await scene.fleet.replace(replica)
                assert patrons.noted.failures == [], f"while {replica} was replaced"
        patrons.leave()
        await calling
        assert patrons.noted.failures == []
        await reckon(patrons.noted)
