"""Owns reading requests: protobuf items as the domain's own objects, or a refusal that names the field."""

from __future__ import annotations

from typing import Final

from poolkit.context import CallContext
from poolkit.errors import IllegalTransition, InvalidRequest, NotFound, error_for
from poolkit.rpc.batches import is_storable
from poolkit.rpc.convert import refusal, to_time
from pools.trade.v1 import trade_pb2
from pools.types.v1 import types_pb2
from trade.domain.intent import TransactRequest
from trade.domain.lifecycle import Decision, Outcome, Report
from trade.domain.trade import Hold, Side, Status
from trade.store.trades import TradeFilter

_SIDES: Final = {types_pb2.SIDE_ON_RAMP: Side.ON_RAMP, types_pb2.SIDE_OFF_RAMP: Side.OFF_RAMP}
_STATUSES: Final = {
    types_pb2.TRADE_STATUS_RESERVED: Status.RESERVED,
    types_pb2.TRADE_STATUS_SETTLED: Status.SETTLED,
    types_pb2.TRADE_STATUS_FAILED: Status.FAILED,
    types_pb2.TRADE_STATUS_RELEASED: Status.RELEASED,
    types_pb2.TRADE_STATUS_RETURNED: Status.RETURNED,
}

NOT_FOUND_REPORT: Final = trade_pb2.ReportSettlementsResult(
    refusal=refusal(NotFound(detail="No trade has this id; store the report and try again."))
)


def named_quote(item: trade_pb2.GetTransactionsItem, own: CallContext) -> tuple[str, str]:
    """Whose trade is asked for, and by which quote. Raises NotFound for what can be no id."""
    return own.organization_id, _existing_id(item.quote_id)


def named_trade(item: trade_pb2.GetTradesItem, own: CallContext) -> tuple[str, str]:
    """Whose trade is asked for, and which. Raises NotFound for what can be no id."""
    return own.organization_id, _existing_id(item.trade_id)


def _existing_id(text: str) -> str:
    if not is_storable(text):
        raise NotFound(resource="trade")
    return text


def transact_request(item: trade_pb2.TransactQuotesItem, own: CallContext) -> TransactRequest:
    """One item to transact, under its own span."""
    return TransactRequest(
        organization_id=own.organization_id,
        request_id=own.request_id,
        traceparent=own.traceparent,
        idempotency_key=item.idempotency_key,
        quote_id=item.quote_id,
        pool_id=item.pool_id,
        balance_gate_enabled=item.balance_gate_enabled,
        off_ramp_enabled=item.off_ramp_enabled,
        notional_caps={cap.currency: cap.amount for cap in item.notional_caps},
        expected_hold=_expected_hold(item.expected_hold) if item.HasField("expected_hold") else None,
    )


def _expected_hold(said: trade_pb2.ExpectedHold) -> Hold:
    return Hold(said.amount.currency, said.amount.amount, said.client_reference)


def report(item: trade_pb2.ReportSettlementsItem, own: CallContext) -> Report:
    """One settlement report. Raises InvalidRequest for a status that nothing can become."""
    status = _STATUSES.get(item.status)
    if status is None or status is Status.RESERVED:
        raise InvalidRequest("it must be settled, failed, released or returned.", field="status")
    return Report(
        trade_id=item.trade_id,
        status=status,
        source=item.source,
        provider_event_id=item.provider_event_id,
        webhook_id=item.webhook_id,
        network_transaction_id=item.network_transaction_id,
        crypto_currency=item.crypto.currency,
        crypto_amount=item.crypto.amount,
        occurred_at=to_time(item.occur_time),
        request_id=own.request_id,
        traceparent=own.traceparent,
    )


def refused_report(decision: Decision) -> types_pb2.Refusal | None:
    """Why a report was refused; None for one that was not."""
    if decision.outcome is not Outcome.REFUSED:
        return None
    return refusal(error_for(decision.reason) if decision.reason else IllegalTransition())


def trade_filter(request: trade_pb2.ListTradesRequest) -> TradeFilter:
    """What narrows a list."""
    side, status = _SIDES.get(request.side), _STATUSES.get(request.status)
    return TradeFilter(
        side=str(side) if side else None,
        status=str(status) if status else None,
        created_after=to_time(request.created_after_time) if request.HasField("created_after_time") else None,
        created_before=to_time(request.created_before_time) if request.HasField("created_before_time") else None,
    )
