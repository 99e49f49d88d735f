"""The way in for support: `pools.types.v1.JourneyService` over this service's rows."""

from typing import Final

from ledger.app.find_records import find_records
from ledger.store.journey import JourneyRow
from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.rpc.convert import from_time
from poolkit.rpc.types import Context
from pools.types.v1 import journey_pb2, journey_pb2_grpc, types_pb2

IDS_MAX: Final = 100
RECORDS_MAX: Final = 1000


class JourneyService(journey_pb2_grpc.JourneyServiceServicer):
    """Tells what the ledger knows of some ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def FindRecords(  # noqa: N802 - the RPC's name
        self, request: journey_pb2.FindRecordsRequest, context: Context
    ) -> journey_pb2.FindRecordsResponse:
        """A pure read, oldest first."""
        if not 1 <= len(request.ids) <= IDS_MAX:
            raise InvalidRequest(f"name 1 to {IDS_MAX} ids, not {len(request.ids)}.", field="ids")
        if not 0 <= request.page_size <= RECORDS_MAX:
            raise InvalidRequest(f"it must be 1 to {RECORDS_MAX}.", field="page_size")
        if any("\x00" in id_ for id_ in request.ids):
            raise InvalidRequest("an id has no NUL in it.", field="ids")
        rows = await find_records(self._database, list(request.ids), request.page_size or RECORDS_MAX)
        return journey_pb2.FindRecordsResponse(records=[_record(row) for row in rows])


def _record(row: JourneyRow) -> types_pb2.JourneyRecord:
    return types_pb2.JourneyRecord(
        record_time=from_time(row.recorded_at),
        service="ledger",
        kind=row.kind,
        record_id=row.record_id,
        summary=row.summary,
        ids={name: value for name, value in row.ids.items() if value},
        facts={name: value for name, value in row.facts.items() if value},
        traceparent=row.traceparent,
    )
