"""Callers at work on a fleet: hired with a partner of their own, and held to account when they leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Final

from poolctl.receiver import WebhookReceiver
from poolctl.session import Addresses, Session
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.e2e.databases import Databases
from tests.e2e.partners import Partner, PartnerFactory
from tests.e2e.rolling import reckoning
from tests.e2e.rolling.fleet import Fleet
from tests.e2e.rolling.patrons import Patrons
from tests.waiting import eventually

FUNDS: Final = Decimal("500000.00")
AT_ONCE: Final = 2
"""Orders under way over each edge."""


@asynccontextmanager
async def calling(fleet: Fleet) -> AsyncIterator[Patrons]:
    """Callers at work; when the block ends they leave, nothing may have failed, and the books are compared."""
    addresses = fleet.addresses
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(Session(addresses))
        receiver = await stack.enter_async_context(WebhookReceiver())
        databases = Databases(addresses)
        stack.push_async_callback(databases.close)
        partners = PartnerFactory(session, receiver)
        stack.push_async_callback(partners.close)
        partner = await partners(paid_in=str(FUNDS))
        async with at_work(partner, session, addresses, at_once=AT_ONCE) as patrons:
            yield patrons
        await reckoning.check(patrons.noted, partner, FUNDS, session, databases, receiver)


@asynccontextmanager
async def at_work(partner: Partner, session: Session, addresses: Addresses, *, at_once: int) -> AsyncIterator[Patrons]:
    """Callers as one partner, and as the settlement provider of its trades; nothing may have failed at the end."""
    request = webhook_ingest_pb2.CreateSourceRequest(name=f"rolling-{partner.organization_id[-6:].lower()}")
    source = await session.webhook_ingest.admin.CreateSource(request)
    patrons = Patrons(partner, addresses, source=request.name, secret=source.secret)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patrons.call(at_once=at_once))
            await eventually(lambda: patrons.noted.orders >= 2 * at_once, "orders are made", seconds=30)
            yield patrons
            patrons.leave()
    finally:
        await patrons.close()
    assert patrons.noted.failures == []
