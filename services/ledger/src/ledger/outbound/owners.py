"""The way to the owners of events: their outboxes as streams, in the order of event ids."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from ledger.app.compare_owners import OwnedEvent
from poolkit.errors import Unavailable
from poolkit.kafka import PAYIN_ALLOCATED, PAYIN_CREDITED, TRADE_TERMINAL, TREASURY_MOVED
from poolkit.rpc.channels import Channel
from pools.types.v1 import outbox_pb2, outbox_pb2_grpc

TOPICS: Final = {
    "trade": (TRADE_TERMINAL,),
    "webhook-ingest": (PAYIN_CREDITED, PAYIN_ALLOCATED),
    "quote": (TREASURY_MOVED,),
}
"""Whose each of the ledger's topics is. Source: architecture section 2."""

STREAM_SECONDS_MAX: Final = 3600.0
_BREAKS_MAX: Final = 3


class OwnerClient:
    """One owner's outbox."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self.topics: Sequence[str] = TOPICS[name]
        self._stub = outbox_pb2_grpc.OutboxServiceStub(channel)

    async def events(self, event_ids: Sequence[str] = ()) -> AsyncIterator[list[OwnedEvent]]:
        """Pages of events by id; a stream that breaks off is taken up after its last page. Raises Unavailable."""
        request = outbox_pb2.StreamEventsRequest(topics=self.topics, event_ids=event_ids)
        broken = 0
        while True:
            try:
                async for page in self._stub.StreamEvents(request, timeout=STREAM_SECONDS_MAX):
                    yield [_owned(event) for event in page.events]
                    request.after_event_id = page.events[-1].event_id
            except Unavailable as error:
                broken += 1
                if broken == _BREAKS_MAX:
                    raise Unavailable(f"{self.name} does not tell what it has published.") from error
            else:
                return


def _owned(event: outbox_pb2.OutboxEvent) -> OwnedEvent:
    return OwnedEvent(event.event_id, event.topic, event.payload_hash, event.HasField("publish_time"))
