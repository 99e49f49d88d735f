"""The way in for support: the whole journey of an id, or the journeys that carry it, across all services."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.app.journey_list import JourneyPage, JourneySummary
from gateway.app.product_record import ProductRecord
from gateway.app.support import Question, SupportSearch, ToldJourney
from gateway.domain.journey_ids import is_minted
from gateway.domain.records import Amount, Moment
from poolkit.errors import InvalidRequest
from poolkit.rpc.callers import proven_names
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from pools.gateway.v1 import admin_pb2, admin_pb2_grpc
from pools.types.v1 import types_pb2

ID_LENGTH_MAX: Final = 255
ASKED_BY_LENGTH_MAX: Final = 128
PAGE_SIZE: Final = 20


class SupportService(admin_pb2_grpc.SupportServiceServicer):
    """Tells the journey of an id."""

    def __init__(self, search: SupportSearch) -> None:
        self._search = search

    async def FindJourney(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.FindJourneyRequest, context: Context
    ) -> admin_pb2.FindJourneyResponse:
        """A read across all owners; who asks is kept."""
        told = await self._search(_question(request, context))
        return _page(told) if isinstance(told, JourneyPage) else _whole(told)


def _question(request: admin_pb2.FindJourneyRequest, context: Context) -> Question:
    if not 1 <= len(request.id) <= ID_LENGTH_MAX or "\x00" in request.id:
        raise InvalidRequest(f"name an id of 1 to {ID_LENGTH_MAX} characters.", field="id")
    if len(request.asked_by) > ASKED_BY_LENGTH_MAX or (request.asked_by and not request.asked_by.isprintable()):
        raise InvalidRequest(f"it is a name of up to {ASKED_BY_LENGTH_MAX} printable characters.", field="asked_by")
    return Question(
        id=request.id,
        caller=_caller(context),
        asked_by=request.asked_by,
        page_size=page_size(request.page_size, default=PAGE_SIZE),
        before_quote_id=_quote_id_of(request.page_token),
    )


def _caller(context: Context) -> str:
    """The name in the caller's certificate, else what it calls itself."""
    for name in proven_names(context):
        return name.decode(errors="replace")
    agents = [str(value) for key, value in context.invocation_metadata() or () if key == "user-agent"]
    return agents[0].partition(" grpc-")[0] if agents else ""


def _quote_id_of(page_token: str) -> str:
    """Where the page before ended."""
    if not page_token:
        return ""
    try:
        quote_id = base64.urlsafe_b64decode(page_token.encode()).decode()
    except (binascii.Error, UnicodeError):
        quote_id = ""
    if not (quote_id.startswith("pq_") and is_minted(quote_id)):
        raise InvalidRequest("it is none that a page before this one gave.", field="page_token")
    return quote_id


def _whole(told: ToldJourney) -> admin_pb2.FindJourneyResponse:
    journey = told.journey
    return admin_pb2.FindJourneyResponse(
        records=[record for record in journey.records if isinstance(record, types_pb2.JourneyRecord)],
        missing_services=journey.missing_services,
        truncated_services=journey.truncated_services,
        trace_ids=journey.trace_ids,
        record=_product_record(told.record) if told.record is not None else None,
        awaited=[
            types_pb2.Awaited(
                what=line.what,
                since_time=_time(line.since_time),
                due_time=_time(line.due_time),
                service=line.service,
                record_id=line.record_id,
            )
            for line in told.awaited
        ],
    )


def _page(page: JourneyPage) -> admin_pb2.FindJourneyResponse:
    return admin_pb2.FindJourneyResponse(
        journeys=[_summary(summary) for summary in page.summaries],
        missing_services=page.missing_services,
        next_page_token=base64.urlsafe_b64encode(page.next_quote_id.encode()).decode(),
    )


def _summary(summary: JourneySummary) -> admin_pb2.JourneySummary:
    return admin_pb2.JourneySummary(
        organization_id=summary.organization_id,
        create_time=_time(summary.create_time),
        fiat=_money(summary.fiat),
        crypto=_money(summary.crypto),
        record=_product_record(summary.record),
    )


def _time(moment: Moment | None) -> Timestamp | None:
    return Timestamp(seconds=moment.seconds, nanos=moment.nanos) if moment is not None else None


def _money(amount: Amount | None) -> types_pb2.Money | None:
    return types_pb2.Money(amount=amount.amount, currency=amount.currency) if amount is not None else None


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
