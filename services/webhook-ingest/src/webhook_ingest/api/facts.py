"""The way in for the daily close: `pools.webhook_ingest.v1.ReportFactsService`."""

from collections.abc import AsyncIterator
from operator import attrgetter

from poolkit.database import Database
from poolkit.money import format_amount
from poolkit.rpc.batches import own_context
from poolkit.rpc.convert import from_time
from poolkit.rpc.facts import behind, business_date, page_facts, pages
from poolkit.rpc.types import Context
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import report_facts_pb2, report_facts_pb2_grpc
from webhook_ingest.api.admin import STATES_OUT
from webhook_ingest.store import facts
from webhook_ingest.store.facts import Position, Processing, ReportFact

_position = attrgetter("position")


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

        async def read(after: Position, limit: int) -> list[ReportFact]:
            return await facts.list_reports(self._database, received_on, after=after, limit=limit)

        async for page in pages(read, _position, after=after, size=page_facts(request.page_size)):
            yield report_facts_pb2.StreamReportFactsResponse(facts=map(_report, page))

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

        async def read(after: Position, limit: int) -> list[ReportFact]:
            return await facts.list_payins(self._database, received_on, after=after, limit=limit)

        async for page in pages(read, _position, after=after, size=page_facts(request.page_size)):
            yield report_facts_pb2.StreamPayinFactsResponse(facts=map(_payin, page))


def _report(fact: ReportFact) -> report_facts_pb2.ReportFact:
    return report_facts_pb2.ReportFact(
        trade_id=fact.transact_id,
        webhook_id=fact.webhook_id,
        source=fact.source,
        provider_event_id=fact.provider_event_id,
        kind=fact.kind,
        crypto=_amount(fact),
        network_transaction_id=fact.network_transaction_id,
        processing=_processing(fact.processing),
    )


def _payin(fact: ReportFact) -> report_facts_pb2.PayinFact:
    return report_facts_pb2.PayinFact(
        event_id=fact.payin_event_id,
        webhook_id=fact.webhook_id,
        source=fact.source,
        provider_event_id=fact.provider_event_id,
        bank_transaction_id=fact.bank_transaction_id,
        funding_reference=fact.funding_reference,
        amount=_amount(fact),
        organization_id=fact.processing.organization_id,
        processing=_processing(fact.processing),
    )


def _amount(fact: ReportFact) -> types_pb2.Money | None:
    if fact.amount is None:
        return None
    return types_pb2.Money(amount=format_amount(fact.amount, fact.currency), currency=fact.currency)


def _processing(done: Processing) -> report_facts_pb2.ReportProcessing:
    return report_facts_pb2.ReportProcessing(
        state=STATES_OUT[done.state],
        effect=done.effect,
        refusal_reason=done.refusal_reason,
        detail=done.detail,
        attempt_count=done.attempt_count,
        first_webhook_id=done.first_webhook_id,
        signature_result=done.signature_result,
        request_id=done.request_id,
        receive_time=from_time(done.received_at),
        attempt_time=from_time(done.attempted_at) if done.attempted_at else None,
    )
