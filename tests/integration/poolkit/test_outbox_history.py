"""An owner tells how far it has published, and streams what it told in the order in which others can merge it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.kafka import PAYIN_CREDITED, TRADE_TERMINAL
from poolkit.rpc.channels import open_channel
from poolkit.rpc.outbox import OutboxService
from poolkit.rpc.server import RpcServer
from pools.types.v1 import outbox_pb2, outbox_pb2_grpc
from pools_contracts.trade import TradeClient
from tests.integration.poolkit.events import append_all, event

CUT = outbox_pb2.GetOutboxWatermarkRequest(business_date="2026-11-22")
MARK = "UPDATE outbox SET published_at = clock_timestamp() WHERE event_id = $1"


@contextlib.asynccontextmanager
async def owner(database: Database) -> AsyncIterator[TradeClient]:
    server = RpcServer("127.0.0.1:0", name="tests")
    server.add(outbox_pb2_grpc.add_OutboxServiceServicer_to_server, OutboxService(database))
    port = await server.start()
    try:
        async with TradeClient(open_channel(f"127.0.0.1:{port}", "tests")) as client:
            yield client
    finally:
        await server.stop(0)


async def streamed(client: TradeClient, **request: object) -> list[outbox_pb2.OutboxEvent]:
    found: list[outbox_pb2.OutboxEvent] = []
    async for page in client.outbox.StreamEvents(outbox_pb2.StreamEventsRequest(**request), timeout=10):  # type: ignore[arg-type]
        assert 1 <= len(page.events) <= 1000
        found += page.events
    return found


async def test_the_watermark_counts_what_the_cut_still_waits_for(database: Database) -> None:
    later = event(3)._replace(business_date=event(3).business_date.replace(day=23))
    async with owner(database) as client:
        empty = await client.outbox.GetOutboxWatermark(CUT)
        assert (empty.unpublished_events, empty.highest_sequence) == (0, 0)
        assert not empty.HasField("oldest_unpublished_time")

        await append_all(database, [event(1), event(2), later])
        appended = await client.outbox.GetOutboxWatermark(CUT)
        assert (appended.unpublished_events, appended.highest_sequence) == (2, 3)
        assert appended.oldest_unpublished_time.seconds > 0
        for number in (1, 2):
            await database.execute(MARK, event(number).event_id)
        assert (await client.outbox.GetOutboxWatermark(CUT)).unpublished_events == 0
        with pytest.raises(InvalidRequest, match="business_date"):
            await client.outbox.GetOutboxWatermark(outbox_pb2.GetOutboxWatermarkRequest(business_date="yesterday"))


async def test_a_transaction_that_may_still_append_before_the_cut_is_told_of(database: Database) -> None:
    """Else a date would be closed a moment before an event of that date commits."""
    async with owner(database) as client:
        today = str(await database.fetch_value("SELECT (now() AT TIME ZONE 'UTC')::date"))
        cut = outbox_pb2.GetOutboxWatermarkRequest(business_date=today)
        async with database.transaction() as unit:
            await unit.execute("SELECT 1")
            assert (await client.outbox.GetOutboxWatermark(cut)).open_transactions == 1
            # Begun after the end of that date: whatever it appends is of a later one.
            assert (await client.outbox.GetOutboxWatermark(CUT)).open_transactions == (CUT.business_date >= today)
            await unit.commit()
        assert (await client.outbox.GetOutboxWatermark(cut)).open_transactions == 0


async def test_events_are_streamed_byte_by_byte_in_the_order_of_their_ids(database: Database) -> None:
    numbers = list(range(2500))
    await append_all(database, [event(number) for number in reversed(numbers)])
    # Under a language's collation these two would stand between the others.
    await append_all(database, [event(0)._replace(event_id=id_, topic=PAYIN_CREDITED) for id_ in ("Event", "évent")])
    await database.execute(MARK, event(7).event_id)
    async with owner(database) as client:
        found = await streamed(client)
        assert [each.event_id for each in found] == ["Event", *(event(number).event_id for number in numbers), "évent"]
        one = found[8]
        assert (one.event_id, one.topic, one.type, one.organization_id) == (
            event(7).event_id, TRADE_TERMINAL, "settled", "org_7",
        )  # fmt: skip
        assert (one.payload_hash, one.business_date) == (sha256(event(7).payload).digest(), "2026-11-22")
        assert [each.HasField("publish_time") for each in found[8:10]] == [True, False]

        rest = await streamed(client, topics=[TRADE_TERMINAL], after_event_id=event(2000).event_id)
        assert [each.event_id for each in rest] == [event(number).event_id for number in numbers[2001:]]
        named = await streamed(client, event_ids=[event(9).event_id, "unknown", "nul\x00", event(3).event_id])
        assert [each.event_id for each in named] == [event(3).event_id, event(9).event_id]
        assert await streamed(client, event_ids=["nul\x00"]) == []
        assert await streamed(client, topics=["nul\x00"]) == []


async def test_a_stream_may_be_left_at_any_page(database: Database) -> None:
    await append_all(database, [event(number) for number in range(2500)])
    async with owner(database) as client:
        call = client.outbox.StreamEvents(outbox_pb2.StreamEventsRequest())
        async for page in call:
            assert len(page.events) == 1000
            break
        call.cancel()
        async with asyncio.timeout(5):
            assert len(await streamed(client)) == 2500
