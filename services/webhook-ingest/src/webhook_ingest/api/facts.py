"""The way in for the daily close: `pools.webhook_ingest.v1.ReportFactsService`.

A day may have a million reports: messages are filled in place.
"""

from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Final

from poolkit.database import Database
from poolkit.money import format_amount
from poolkit.rpc.batches import own_context
from poolkit.rpc.convert import set_time
from poolkit.rpc.facts import behind, business_date, page_facts, pages
from poolkit.rpc.types import Context
from pools.webhook_ingest.v1 import report_facts_pb2, report_facts_pb2_grpc
from webhook_ingest.api.admin import STATES_OUT
from webhook_ingest.store import facts
from webhook_ingest.store.facts import Fact, Position

_position = attrgetter("position")
_STATES: Final = {str(state): number for state, number in STATES_OUT.items()}


class ReportFactsService(report_facts_pb2_grpc.ReportFactsServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, mode: str) -> None:
        self._database = database
        self._mode = mode

    async def StreamReportFacts(  # noqa: N802 - the RPC's name
        self, request: report_facts_pb2.StreamReportFactsRequest, context: Context
    ) -> AsyncIterator[report_facts_pb2.StreamReportFactsResponse]:
        """Reports on trades, by trade id."""
        own_context(request.context, self._mode, needs_organization=False)
        after = Position(
            behind(request.after_trade_id, field="after_trade_id"),
            behind(request.after_webhook_id, field="after_webhook_id"),
        )
        received_on = business_date(request.business_date)

        async def read(after: Position, limit: int) -> list[Fact]:
            return await facts.list_reports(self._database, received_on, after=after, limit=limit)

        async for page in pages(read, _position, after=after, size=page_facts(request.page_size)):
            reports = report_facts_pb2.StreamReportFactsResponse()
            for fact in page:
                _add_report(reports, fact)
            yield reports

    async def StreamPayinFacts(  # noqa: N802 - the RPC's name
        self, request: report_facts_pb2.StreamPayinFactsRequest, context: Context
    ) -> AsyncIterator[report_facts_pb2.StreamPayinFactsResponse]:
        """Reports of money, by event id."""
        own_context(request.context, self._mode, needs_organization=False)
        after = Position(
            behind(request.after_event_id, field="after_event_id"),
            behind(request.after_webhook_id, field="after_webhook_id"),
        )
        received_on = business_date(request.business_date)

        async def read(after: Position, limit: int) -> list[Fact]:
            return await facts.list_payins(self._database, received_on, after=after, limit=limit)

        async for page in pages(read, _position, after=after, size=page_facts(request.page_size)):
            payins = report_facts_pb2.StreamPayinFactsResponse()
            for fact in page:
                _add_payin(payins, fact)
            yield payins


def _add_report(message: report_facts_pb2.StreamReportFactsResponse, fact: Fact) -> None:
    report = message.facts.add(
        trade_id=fact.transact_id,
        webhook_id=fact.webhook_id,
        source=fact.source,
        provider_event_id=fact.provider_event_id,
        kind=fact.kind,
        network_transaction_id=fact.network_transaction_id,
    )
    if fact.amount is not None:
        report.crypto.amount = format_amount(fact.amount, fact.currency)
        report.crypto.currency = fact.currency
    _fill(report.processing, fact)


def _add_payin(message: report_facts_pb2.StreamPayinFactsResponse, fact: Fact) -> None:
    payin = message.facts.add(
        event_id=fact.payin_event_id,
        webhook_id=fact.webhook_id,
        source=fact.source,
        provider_event_id=fact.provider_event_id,
        bank_transaction_id=fact.bank_transaction_id,
        funding_reference=fact.funding_reference,
        organization_id=fact.organization_id,
    )
    if fact.amount is not None:
        payin.amount.amount = format_amount(fact.amount, fact.currency)
        payin.amount.currency = fact.currency
    _fill(payin.processing, fact)


def _fill(processing: report_facts_pb2.ReportProcessing, fact: Fact) -> None:
    processing.state = _STATES[fact.state]
    processing.effect = fact.effect
    processing.refusal_reason = fact.refusal_reason
    processing.detail = fact.detail
    processing.attempt_count = fact.attempt_count
    processing.first_webhook_id = fact.first_webhook_id
    processing.signature_result = fact.signature_result
    processing.request_id = fact.request_id
    set_time(processing.receive_time, fact.received_at)
    if fact.attempted_at is not None:
        set_time(processing.attempt_time, fact.attempted_at)
