"""Table `request_log`: one row a call, refused ones included, written in batches by one statement."""

import time
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from gateway.domain.entitlement import Principal
from poolkit.database import Database

# One JSON text costs the process half of what sixteen arrays do, and PostgreSQL the same (asyncpg looks at every
# element of an array three times).
_INSERT: Final = """
INSERT INTO request_log (
    writer_id, number, request_id, traceparent, edge, operation, outcome, http_status, organization_id, key_id,
    key_label, idempotency_key, quote_id, trade_id, client_reference, replayed, duration_us, started_at
)
SELECT $1, $2 + row.ordinality - 1, row.request_id, row.traceparent, row.edge, row.operation, row.outcome,
       row.http_status, row.organization_id, row.key_id, row.key_label, row.idempotency_key, row.quote_id,
       row.trade_id, row.client_reference, coalesce(row.replayed, false), row.duration_us,
       timestamptz 'epoch' + row.started_us * interval '1 microsecond'
  FROM ROWS FROM (json_to_recordset($3::json) AS (
           request_id text, traceparent text, edge text, operation text, outcome text, http_status smallint,
           organization_id text, key_id text, key_label text, idempotency_key text, quote_id text, trade_id text,
           client_reference text, replayed boolean, duration_us integer, started_us bigint
       )) WITH ORDINALITY AS row
ON CONFLICT (writer_id, number) DO NOTHING
"""

_INTEGER_MAX: Final = 2**31 - 1
_encode = msgspec.json.Encoder().encode


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

    A call's time is when it began by this host's clock: rows arrive late by as long as writing takes, and would stand
    behind what followed from the call.
    """
    counting_from = time.time() - time.perf_counter()
    rows = _encode([_row(call, counting_from) for call in calls]).decode()
    await database.execute(_INSERT, writer_id, first_number, rows)


class _Row(msgspec.Struct, omit_defaults=True):
    """What is the same in most rows is left out: a missing name is null to PostgreSQL."""

    request_id: str
    traceparent: str
    edge: str
    operation: str
    outcome: str
    http_status: int
    duration_us: int
    started_us: int
    organization_id: str | None = None
    key_id: str | None = None
    key_label: str | None = None
    idempotency_key: str | None = None
    quote_id: str | None = None
    trade_id: str | None = None
    client_reference: str | None = None
    replayed: bool | None = None


def _row(call: LoggedCall, counting_from: float) -> _Row:
    principal = call.principal
    return _Row(
        request_id=call.request_id,
        traceparent=call.traceparent,
        edge=call.edge,
        operation=call.operation,
        outcome=call.outcome,
        http_status=call.http_status,
        duration_us=min(int((call.ended - call.started) * 1e6), _INTEGER_MAX),
        started_us=int((counting_from + call.started) * 1e6),
        organization_id=None if principal is None else principal.organization_id,
        key_id=None if principal is None else principal.key_id,
        key_label=None if principal is None else principal.key_label,
        idempotency_key=call.idempotency_key or None,
        quote_id=call.quote_id or None,
        trade_id=call.trade_id or None,
        client_reference=call.client_reference or None,
        replayed=call.replayed or None,
    )
