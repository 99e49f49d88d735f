"""The way in for support: the whole journey of an id, across all services."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.app.journey import Owner, find_journey
from gateway.app.ports import Quotes, Trades
from gateway.app.product_record import ProductRecord, product_record
from poolkit.context import CallContext, current_request_id
from poolkit.errors import InvalidRequest
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.gateway.v1 import admin_pb2, admin_pb2_grpc
from pools.types.v1 import types_pb2

log = structlog.get_logger(__name__)

ID_LENGTH_MAX: Final = 255
READ_SECONDS_MAX: Final = 2.0


class SupportService(admin_pb2_grpc.SupportServiceServicer):
    """Tells the whole journey of an id."""

    def __init__(self, owners: Sequence[Owner], *, quotes: Quotes, trades: Trades, mode: str) -> None:
        self._owners = owners
        self._quotes = quotes
        self._trades = trades
        self._mode = mode

    async def FindJourney(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.FindJourneyRequest, context: Context
    ) -> admin_pb2.FindJourneyResponse:
        """A read across all owners; access to it is logged."""
        if not 1 <= len(request.id) <= ID_LENGTH_MAX or "\x00" in request.id:
            raise InvalidRequest(f"name an id of 1 to {ID_LENGTH_MAX} characters.", field="id")
        log.info("journey_asked", id=request.id, caller=_caller(context))
        found = await find_journey(self._owners, request.id)
        record = await product_record(found, quotes=self._quotes, trades=self._trades, new_context=self._new_context)
        return admin_pb2.FindJourneyResponse(
            records=[record for record in found.records if isinstance(record, types_pb2.JourneyRecord)],
            missing_services=found.missing_services,
            trace_ids=found.trace_ids,
            record=_product_record(record) if record is not None else None,
        )

    def _new_context(self, organization_id: str) -> CallContext:
        return CallContext(
            current_request_id.get(),
            organization_id,
            self._mode,
            current_traceparent(),
            time.time() + READ_SECONDS_MAX,
        )


def _caller(context: Context) -> str:
    agents = [str(value) for key, value in context.invocation_metadata() or () if key == "user-agent"]
    return agents[0] if agents else ""


def _product_record(record: ProductRecord) -> admin_pb2.ProductRecord:
    return admin_pb2.ProductRecord(
        product_area=record.product_area,
        partner_reference=record.partner_reference,
        pool_id=record.pool_id,
        quote_id=record.quote_id,
        transact_id=record.transact_id,
        status=record.status,
        request_id=record.request_id,
        reconciliation_state=record.reconciliation_state,
    )
