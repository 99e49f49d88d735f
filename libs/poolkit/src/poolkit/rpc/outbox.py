"""The way in for those who check what was told, the same in every owner: `pools.types.v1.OutboxService`."""

from collections.abc import AsyncIterator
from datetime import date

from poolkit.database import Database, Record
from poolkit.errors import InvalidRequest
from poolkit.outbox_history import PAGE_EVENTS, read_events, read_watermark
from poolkit.rpc.convert import from_time
from poolkit.rpc.types import Context
from pools.types.v1 import outbox_pb2, outbox_pb2_grpc


class OutboxService(outbox_pb2_grpc.OutboxServiceServicer):
    """Tells how far an owner has published, and what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetOutboxWatermark(  # noqa: N802 - the RPC's name
        self, request: outbox_pb2.GetOutboxWatermarkRequest, context: Context
    ) -> outbox_pb2.GetOutboxWatermarkResponse:
        """A pure read."""
        try:
            business_date = date.fromisoformat(request.business_date)
        except ValueError as error:
            raise InvalidRequest("it must be a date, YYYY-MM-DD.", field="business_date") from error
        watermark = await read_watermark(self._database, business_date)
        oldest_at = watermark.oldest_unpublished_at
        return outbox_pb2.GetOutboxWatermarkResponse(
            unpublished_events=watermark.unpublished_events,
            oldest_unpublished_time=from_time(oldest_at) if oldest_at else None,
            open_transactions=watermark.open_transactions,
            highest_sequence=watermark.highest_sequence,
        )

    async def StreamEvents(  # noqa: N802 - the RPC's name
        self, request: outbox_pb2.StreamEventsRequest, context: Context
    ) -> AsyncIterator[outbox_pb2.StreamEventsResponse]:
        """Pages of events, each read when the one before has been taken."""
        if len(request.event_ids) > PAGE_EVENTS:
            raise InvalidRequest(f"name at most {PAGE_EVENTS} events.", field="event_ids")
        # Nothing stored contains U+0000, and the database would refuse to look.
        named = [id_ for id_ in request.event_ids if "\x00" not in id_]
        if "\x00" in request.after_event_id or (request.event_ids and not named):
            return
        topics = [topic for topic in request.topics if "\x00" not in topic]
        if request.topics and not topics:
            return
        async for rows in read_events(self._database, topics, after_event_id=request.after_event_id, event_ids=named):
            yield outbox_pb2.StreamEventsResponse(events=map(_event, rows))


def _event(row: Record) -> outbox_pb2.OutboxEvent:
    published_at = row["published_at"]
    return outbox_pb2.OutboxEvent(
        event_id=row["event_id"],
        sequence=row["sequence"],
        topic=row["topic"],
        type=row["type"],
        organization_id=row["key"],
        payload_hash=row["payload_hash"],
        business_date=row["business_date"].isoformat(),
        publish_time=from_time(published_at) if published_at else None,
    )
