"""The way in for support, the same in every service: `pools.types.v1.JourneyService` over the service's own rows."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from poolkit.errors import InvalidRequest
from poolkit.journey import Awaited, JourneyHead, JourneyRow
from poolkit.rpc.convert import from_time
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from pools.types.v1 import journey_pb2, journey_pb2_grpc, types_pb2

IDS_MAX: Final = 100
ID_LENGTH_MAX: Final = 255
RECORDS_MAX: Final = 1000

Find = Callable[[list[str], int], Awaitable[Sequence[JourneyRow]]]
"""The rows that carry one of the ids, oldest first, at most so many. Raises Unavailable."""
List = Callable[[str, str, int], Awaitable[Sequence[JourneyHead]]]
"""The journeys that carry the id, of quotes before the given one, newest first, at most so many. Raises Unavailable."""


async def _list_none(id_: str, before_quote_id: str, limit: int) -> Sequence[JourneyHead]:
    return ()


class JourneyService(journey_pb2_grpc.JourneyServiceServicer):
    """Tells what a service knows of some ids."""

    def __init__(self, service: str, find: Find, list_journeys: List = _list_none) -> None:
        self._service = service
        self._find = find
        self._list = list_journeys

    async def FindRecords(  # noqa: N802 - the RPC's name
        self, request: journey_pb2.FindRecordsRequest, context: Context
    ) -> journey_pb2.FindRecordsResponse:
        """A pure read, oldest first."""
        if not 1 <= len(request.ids) <= IDS_MAX:
            raise InvalidRequest(f"name 1 to {IDS_MAX} ids, not {len(request.ids)}.", field="ids")
        return await self.records(request.ids, limit=_size(request.page_size))

    async def records(self, ids: Sequence[str], *, limit: int = RECORDS_MAX) -> journey_pb2.FindRecordsResponse:
        """The records of the ids, oldest first. Raises Unavailable."""
        # Nothing stored contains U+0000, and the database would refuse to look.
        wanted = [id_ for id_ in ids if id_ and "\x00" not in id_]
        rows = await self._find(wanted, limit + 1) if wanted else ()
        return journey_pb2.FindRecordsResponse(
            records=[_record(self._service, row) for row in rows[:limit]], truncated=len(rows) > limit
        )

    async def ListJourneys(  # noqa: N802 - the RPC's name
        self, request: journey_pb2.ListJourneysRequest, context: Context
    ) -> journey_pb2.ListJourneysResponse:
        """A pure read, newest first."""
        if not 1 <= len(request.id) <= ID_LENGTH_MAX or "\x00" in request.id + request.before_quote_id:
            raise InvalidRequest(f"name an id of 1 to {ID_LENGTH_MAX} characters.", field="id")
        heads = await self._list(request.id, request.before_quote_id, _size(request.page_size))
        return journey_pb2.ListJourneysResponse(
            journeys=[
                journey_pb2.JourneyHead(
                    quote_id=head.quote_id, organization_id=head.organization_id, trade_id=head.trade_id
                )
                for head in heads
            ]
        )


def _size(asked: int) -> int:
    return page_size(asked, default=RECORDS_MAX, largest=RECORDS_MAX)


def _record(service: str, row: JourneyRow) -> types_pb2.JourneyRecord:
    return types_pb2.JourneyRecord(
        record_time=from_time(row.recorded_at),
        service=service,
        kind=row.kind,
        record_id=row.record_id,
        summary=row.summary,
        ids={name: value for name, value in row.ids.items() if value},
        facts={name: value for name, value in row.facts.items() if value},
        traceparent=row.traceparent,
        entered_state=row.entered_state,
        awaited=_awaited(row.awaited) if row.awaited else None,
    )


def _awaited(awaited: Awaited) -> types_pb2.Awaited:
    return types_pb2.Awaited(
        what=awaited.what,
        since_time=from_time(awaited.since),
        due_time=from_time(awaited.due) if awaited.due else None,
    )
