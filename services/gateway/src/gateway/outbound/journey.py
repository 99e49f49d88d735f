"""The way to what each owner knows of some ids: `JourneyService` of the colleagues, and our own rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pools.types.v1 import journey_pb2, journey_pb2_grpc, types_pb2


class RemoteOwner:
    """Fulfils `gateway.app.journey.Owner` for a colleague."""

    def __init__(self, service: str, stub: journey_pb2_grpc.JourneyServiceAsyncStub) -> None:
        self.service = service
        self._stub = stub

    async def find_records(self, ids: Sequence[str]) -> Sequence[types_pb2.JourneyRecord]:
        """The colleague's records. Raises Unavailable, DeadlineExceeded."""
        response = await self._stub.FindRecords(journey_pb2.FindRecordsRequest(ids=ids))
        return response.records


class OwnRecords:
    """Fulfils `gateway.app.journey.Owner` for this service itself, without a call."""

    def __init__(
        self, service: str, find: Callable[[Sequence[str]], Awaitable[Sequence[types_pb2.JourneyRecord]]]
    ) -> None:
        self.service = service
        self._find = find

    async def find_records(self, ids: Sequence[str]) -> Sequence[types_pb2.JourneyRecord]:
        """This service's records. Raises Unavailable."""
        return await self._find(ids)
