"""A quote database for the session, emptied and seeded anew for each test: that takes a tenth of making another."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from poolkit.database import Database
from poolkit.rpc.channels import open_channel
from poolkit.rpc.journey import JourneyService
from poolkit.rpc.server import RpcServer
from pools.quote.v1 import inventory_facts_pb2_grpc, quote_pb2_grpc
from pools.types.v1 import journey_pb2_grpc
from pools_contracts.quote import QuoteClient
from quote.api.admin_service import QuoteAdminService
from quote.api.facts_service import InventoryFactsService
from quote.api.quote_service import QuoteService
from quote.app.quote_maker import QuoteMaker
from quote.app.seed_pools import seed_pools
from quote.outbound.events import TreasuryEvents
from quote.store import journey
from tests.integration.databases import RunningPostgres
from tests.integration.quote.desk import Desk

# Leases stay: an ended process has let its own go.
_EMPTY = """
DELETE FROM outbox; DELETE FROM treasury_movements; DELETE FROM terminal_events; DELETE FROM consumptions;
DELETE FROM rejections; DELETE FROM quote_holds; DELETE FROM quotes; DELETE FROM inventory; DELETE FROM rates;
DELETE FROM inventory_days;
DELETE FROM pool_tiers; DELETE FROM pools;
"""


@pytest.fixture(scope="package")
async def quote_databases(postgres: RunningPostgres) -> AsyncIterator[tuple[str, Database, Database]]:
    """The runtime role's address, and the database as that role and as the superuser see it."""
    url = await postgres.fresh_database("quote")
    database = Database(url, application_name="test", pool_size=16)
    admin = Database(postgres.admin_url(url), application_name="test", pool_size=2)
    yield url, database, admin
    await database.close()
    await admin.close()


@pytest.fixture
async def desk(quote_databases: tuple[str, Database, Database]) -> Desk:
    """The use cases on a database with the sandbox's pools, without rates and inventory."""
    url, database, admin = quote_databases
    await admin.execute(_EMPTY)
    await seed_pools(database)
    return Desk(url, database, admin)


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[QuoteClient]:
    """The stubs, over a real server on loopback."""
    server = RpcServer("127.0.0.1:0", name="internal")
    admin = QuoteAdminService(desk.database, "test", TreasuryEvents("test"))
    service = QuoteService(desk.database, QuoteMaker(desk.database, "test"), "test")
    server.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, service)
    server.add(quote_pb2_grpc.add_QuoteAdminServiceServicer_to_server, admin)
    facts = InventoryFactsService(desk.database, "test")
    server.add(inventory_facts_pb2_grpc.add_InventoryFactsServiceServicer_to_server, facts)
    server.add(
        journey_pb2_grpc.add_JourneyServiceServicer_to_server,
        JourneyService("quote", partial(journey.find, desk.database)),
    )
    channel = open_channel(f"127.0.0.1:{await server.start()}", "test")
    yield QuoteClient(channel)
    await channel.close()
    await server.stop(0)
