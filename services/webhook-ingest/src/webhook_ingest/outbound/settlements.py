"""Owns the conversation with the trade service: reports out, what they did back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolkit.context import CallContext
from poolkit.errors import DomainError
from poolkit.rpc.convert import error_from_refusal, from_context, from_time
from pools.trade.v1 import trade_pb2, trade_pb2_grpc
from pools.types.v1 import types_pb2
from webhook_ingest.app.ports import Reported
from webhook_ingest.domain.events import Kind
from webhook_ingest.store.webhooks import StoredWebhook

_STATUSES: Final = {
    Kind.TRADE_SETTLED: types_pb2.TRADE_STATUS_SETTLED,
    Kind.TRADE_FAILED: types_pb2.TRADE_STATUS_FAILED,
    Kind.TRADE_RELEASED: types_pb2.TRADE_STATUS_RELEASED,
    Kind.TRADE_RETURNED: types_pb2.TRADE_STATUS_RETURNED,
}
_EFFECTS: Final = {
    trade_pb2.REPORT_OUTCOME_APPLIED: "applied",
    trade_pb2.REPORT_OUTCOME_REPEATED: "repeated",
    trade_pb2.REPORT_OUTCOME_EARLY: "early",
    trade_pb2.REPORT_OUTCOME_REFUSED: "refused",
}


class SettlementsClient:
    """Fulfils `webhook_ingest.app.ports.Settlements`."""

    def __init__(self, stub: trade_pb2_grpc.TradeServiceAsyncStub) -> None:
        self._stub = stub

    async def report(self, reports: Sequence[tuple[StoredWebhook, CallContext]]) -> list[Reported | DomainError]:
        """Reports all of them, in order; safe to repeat."""
        request = trade_pb2.ReportSettlementsRequest(items=[_item(webhook, context) for webhook, context in reports])
        response = await self._stub.ReportSettlements(request)
        return [_reported(result) for result in response.results]


def _item(webhook: StoredWebhook, context: CallContext) -> trade_pb2.ReportSettlementsItem:
    event = webhook.event
    return trade_pb2.ReportSettlementsItem(
        context=from_context(context),
        trade_id=event.transact_id,
        status=_STATUSES[event.kind],
        source=webhook.source,
        provider_event_id=event.event_id,
        webhook_id=webhook.webhook_id,
        network_transaction_id=event.network_transaction_id,
        crypto=types_pb2.Money(amount=event.amount_text, currency=event.currency) if event.amount else None,
        occur_time=from_time(event.occurred_at),
    )


def _reported(result: trade_pb2.ReportSettlementsResult) -> Reported | DomainError:
    refusal = error_from_refusal(result.refusal) if result.HasField("refusal") else None
    effect = _EFFECTS.get(result.outcome)
    if effect is None:
        # No outcome and no reason either would be a mistake of the callee's: tried again, and in the end an exception.
        return refusal or error_from_refusal(types_pb2.Refusal(reason="internal"))
    return Reported(effect, result.organization_id, result.trade.request_id, refusal)
