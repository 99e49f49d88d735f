"""Table `request_log`: one row a call, refused ones included, written in batches by one statement."""

import time
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.domain.entitlement import Principal
from poolkit.database import Database

_INSERT: Final = """
INSERT INTO request_log (
    writer_id, number, request_id, traceparent, edge, operation, outcome, http_status, organization_id, key_id,
    key_label, idempotency_key, quote_id, trade_id, client_reference, replayed, duration_us, started_at
)
SELECT $1, $2 + row.ordinality - 1, row.request_id, row.traceparent, row.edge, row.operation, row.outcome,
       row.http_status, nullif(row.organization_id, ''), nullif(row.key_id, ''), nullif(row.key_label, ''),
       nullif(row.idempotency_key, ''), nullif(row.quote_id, ''), nullif(row.trade_id, ''),
       nullif(row.client_reference, ''), row.replayed, row.duration_us,
       clock_timestamp() - row.age_us * interval '1 microsecond'
  FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::text[],
              $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::boolean[], $17::integer[],
              $18::bigint[])
       WITH ORDINALITY AS row (
           request_id, traceparent, edge, operation, outcome, http_status, organization_id, key_id, key_label,
           idempotency_key, quote_id, trade_id, client_reference, replayed, duration_us, age_us, ordinality
       )
ON CONFLICT (writer_id, number) DO NOTHING
"""

_INTEGER_MAX: Final = 2**31 - 1


class LoggedCall(Protocol):
    """What a row says of a call. `started` and `ended` are by `time.perf_counter`."""

    request_id: str
    traceparent: str
    edge: str
    operation: str
    outcome: str
    http_status: int
    principal: Principal | None
    idempotency_key: str
    quote_id: str
    trade_id: str
    client_reference: str
    replayed: bool
    started: float
    ended: float


async def insert_calls(database: Database, calls: Sequence[LoggedCall], *, writer_id: int, first_number: int) -> None:
    """Writes the rows; those of the same writer with the same numbers are there already. Raises Unavailable.

    A call's time is the database's, less how long ago it began: so it stands before what followed from it.
    """
    principals = [call.principal for call in calls]
    now = time.perf_counter()
    await database.execute(
        _INSERT,
        writer_id,
        first_number,
        [call.request_id for call in calls],
        [call.traceparent for call in calls],
        [call.edge for call in calls],
        [call.operation for call in calls],
        [call.outcome for call in calls],
        [call.http_status for call in calls],
        ["" if principal is None else principal.organization_id for principal in principals],
        ["" if principal is None else principal.key_id for principal in principals],
        ["" if principal is None else principal.key_label for principal in principals],
        [call.idempotency_key for call in calls],
        [call.quote_id for call in calls],
        [call.trade_id for call in calls],
        [call.client_reference for call in calls],
        [call.replayed for call in calls],
        [min(int((call.ended - call.started) * 1e6), _INTEGER_MAX) for call in calls],
        [int((now - call.started) * 1e6) for call in calls],
    )
