"""The way to what each owner knows of some ids: `JourneyService` of the colleagues, and our own rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pools.types.v1 import journey_pb2, journey_pb2_grpc


class RemoteOwner:
    """Fulfils `gateway.app.journey.Owner` and `gateway.app.journey_list.Lister` for a colleague."""

    def __init__(self, service: str, stub: journey_pb2_grpc.JourneyServiceAsyncStub) -> None:
        self.service = service
        self._stub = stub

    async def find_records(self, ids: Sequence[str]) -> journey_pb2.FindRecordsResponse:
        """The colleague's records. Raises Unavailable, DeadlineExceeded."""
        return await self._stub.FindRecords(journey_pb2.FindRecordsRequest(ids=ids))

    async def list_journeys(self, id_: str, *, before_quote_id: str, limit: int) -> Sequence[journey_pb2.JourneyHead]:
        """The journeys that the colleague knows of, newest first. Raises Unavailable, DeadlineExceeded."""
        request = journey_pb2.ListJourneysRequest(id=id_, before_quote_id=before_quote_id, page_size=limit)
        return (await self._stub.ListJourneys(request)).journeys


class OwnRecords:
    """Fulfils `gateway.app.journey.Owner` for this service itself, without a call."""

    def __init__(
        self, service: str, find: Callable[[Sequence[str]], Awaitable[journey_pb2.FindRecordsResponse]]
    ) -> None:
        self.service = service
        self._find = find

    async def find_records(self, ids: Sequence[str]) -> journey_pb2.FindRecordsResponse:
        """This service's records. Raises Unavailable."""
        return await self._find(ids)
