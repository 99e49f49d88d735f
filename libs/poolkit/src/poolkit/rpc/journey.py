"""The way in for support, the same in every service: `pools.types.v1.JourneyService` over the service's own rows."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from poolkit.errors import InvalidRequest
from poolkit.journey import JourneyRow
from poolkit.rpc.convert import from_time
from poolkit.rpc.types import Context
from pools.types.v1 import journey_pb2, journey_pb2_grpc, types_pb2

IDS_MAX: Final = 100
RECORDS_MAX: Final = 1000

Find = Callable[[list[str], int], Awaitable[Sequence[JourneyRow]]]
"""The rows that carry one of the ids, oldest first, at most so many. Raises Unavailable."""


class JourneyService(journey_pb2_grpc.JourneyServiceServicer):
    """Tells what a service knows of some ids."""

    def __init__(self, service: str, find: Find) -> None:
        self._service = service
        self._find = find

    async def FindRecords(  # noqa: N802 - the RPC's name
        self, request: journey_pb2.FindRecordsRequest, context: Context
    ) -> journey_pb2.FindRecordsResponse:
        """A pure read, oldest first."""
        if not 1 <= len(request.ids) <= IDS_MAX:
            raise InvalidRequest(f"name 1 to {IDS_MAX} ids, not {len(request.ids)}.", field="ids")
        if not 0 <= request.page_size <= RECORDS_MAX:
            raise InvalidRequest(f"it must be 1 to {RECORDS_MAX}.", field="page_size")
        return journey_pb2.FindRecordsResponse(
            records=await self.records(request.ids, limit=request.page_size or RECORDS_MAX)
        )

    async def records(self, ids: Sequence[str], *, limit: int = RECORDS_MAX) -> list[types_pb2.JourneyRecord]:
        """The records of the ids, oldest first. Raises Unavailable."""
        # Nothing stored contains U+0000, and the database would refuse to look.
        wanted = [id_ for id_ in ids if id_ and "\x00" not in id_]
        rows = await self._find(wanted, limit) if wanted else ()
        return [_record(self._service, row) for row in rows]


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
    )
