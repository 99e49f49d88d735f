"""The stored events are those that their owners told: what is lost, invented or changed on either side is named."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date

import pytest

from ledger.app import compare_owners
from ledger.app.compare_owners import DIFFERENT, MISSING_AT_OWNER, MISSING_IN_LEDGER
from ledger.outbound.owners import OwnerClient
from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.inbox import ReceivedEvent
from poolkit.outbox import OutboxEvent, append
from poolkit.rpc.channels import open_channel
from poolkit.rpc.outbox import OutboxService
from poolkit.rpc.server import RpcServer
from pools.types.v1 import outbox_pb2_grpc
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import trade_event
from tests.waiting import eventually

MARK = "UPDATE outbox SET published_at = now() WHERE event_id = ANY ($1::text[])"


@pytest.fixture
async def outbox(postgres: RunningPostgres) -> AsyncIterator[Database]:
    """The trade service's."""
    database = Database(await postgres.fresh_database("trade"), application_name="tested", pool_size=2)
    yield database
    await database.close()


@contextlib.asynccontextmanager
async def trade_service(outbox: Database) -> AsyncIterator[OwnerClient]:
    server = RpcServer("127.0.0.1:0", name="tests")
    server.add(outbox_pb2_grpc.add_OutboxServiceServicer_to_server, OutboxService(outbox))
    port = await server.start()
    channel = open_channel(f"127.0.0.1:{port}", "ledger")
    try:
        yield OwnerClient("trade", channel)
    finally:
        await channel.close()
        await server.stop(0)


async def tell(outbox: Database, *events: ReceivedEvent, published: bool = True) -> None:
    rows = [
        OutboxEvent(
            *(event.event_id, event.topic, event.key, event.type, event.request_id, event.traceparent, event.payload),
            date(2026, 11, 22),
        )
        for event in events
    ]
    async with outbox.transaction() as unit:
        await append(unit, rows)
        if published:
            await unit.execute(MARK, [event.event_id for event in events])
        await unit.commit()


async def test_what_owner_and_ledger_do_not_share_is_named_on_each_side(
    books: Books, outbox: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_owners, "SETTLE_SECONDS_MAX", 0.0)
    events = [trade_event("org_1", new_trade()) for _ in range(1010)]
    lost, invented, changed, waiting = events[:4]
    await tell(outbox, lost, *events[4:], changed._replace(payload=b"other bytes"))
    await tell(outbox, waiting, published=False)
    await books.apply(invented, changed, *events[4:504])
    await books.apply(*events[504:])
    async with trade_service(outbox) as owner:
        agreement = await compare_owners.compare_owners(books.database, [owner])
    assert not agreement.ok
    assert agreement.compared == {"trade": 1010}
    assert agreement.unpublished == 1
    assert {(found.kind, found.event_id) for found in agreement.first} == {
        (MISSING_IN_LEDGER, lost.event_id),
        (MISSING_AT_OWNER, invented.event_id),
        (DIFFERENT, changed.event_id),
    }
    assert agreement.disagreeing == {MISSING_IN_LEDGER: 1, MISSING_AT_OWNER: 1, DIFFERENT: 1}


async def test_an_event_on_its_way_is_waited_for(books: Books, outbox: Database) -> None:
    late, settled = trade_event("org_1", new_trade()), trade_event("org_1", new_trade())
    await tell(outbox, late, settled)
    await books.apply(settled)
    async with trade_service(outbox) as owner:
        comparing = asyncio.create_task(compare_owners.compare_owners(books.database, [owner]))

        async def reading() -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT event_id, topic, state%ANY ($1%'"
            return bool(await books.admin.fetch_value(query.replace("SELECT event_id", "%SELECT event_id")))

        await eventually(reading, "the ledger is asked again", seconds=10, every_seconds=0.01)
        assert not comparing.done()
        await books.apply(late)
        agreement = await comparing
    assert agreement.ok, agreement
    assert agreement.compared == {"trade": 2}


async def test_an_owner_out_of_reach_is_told_apart_from_one_that_knows_nothing(books: Books, outbox: Database) -> None:
    await books.apply(trade_event("org_1", new_trade()))
    async with open_channel("127.0.0.1:1", "ledger") as channel:
        with pytest.raises(Unavailable, match="trade does not tell"):
            await compare_owners.compare_owners(books.database, [OwnerClient("trade", channel)])
