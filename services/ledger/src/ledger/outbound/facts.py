"""Owns reading the owners' facts from their messages: protobuf as the close's own values, amounts as minor units."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.domain.close.facts import Amount, PayinFact, Processing, ReportFact, TradeFact, Transition, amount
from ledger.domain.events import FAILED, OFF_RAMP, ON_RAMP, RELEASED, RETURNED, SETTLED
from pools.trade.v1 import trade_facts_pb2
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import report_facts_pb2, webhook_ingest_pb2

_STATUSES: Final = {
    types_pb2.TRADE_STATUS_RESERVED: "reserved",
    types_pb2.TRADE_STATUS_SETTLED: SETTLED,
    types_pb2.TRADE_STATUS_FAILED: FAILED,
    types_pb2.TRADE_STATUS_RELEASED: RELEASED,
    types_pb2.TRADE_STATUS_RETURNED: RETURNED,
}
_SIDES: Final = {types_pb2.SIDE_ON_RAMP: ON_RAMP, types_pb2.SIDE_OFF_RAMP: OFF_RAMP}
_RECONCILED: Final = {
    types_pb2.RECONCILIATION_STATE_OPEN: "open",
    types_pb2.RECONCILIATION_STATE_MATCHED: "matched",
    types_pb2.RECONCILIATION_STATE_EXCEPTION: "exception",
}
RECONCILED_OUT: Final = {name: value for value, name in _RECONCILED.items()}
_STATES: Final = {
    webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED: "received",
    webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED: "processed",
    webhook_ingest_pb2.WEBHOOK_STATE_EXCEPTION: "exception",
    webhook_ingest_pb2.WEBHOOK_STATE_CONFLICT: "conflict",
}


def trade_fact(fact: trade_facts_pb2.TradeFact) -> TradeFact:
    """A trade with its transitions of the date."""
    return TradeFact(
        fact.trade_id,
        fact.organization_id,
        fact.quote_id,
        fact.pool_id,
        _SIDES.get(fact.side, ""),
        _STATUSES.get(fact.status, ""),
        amount_of(fact.fiat),
        amount_of(fact.crypto),
        amount_of(fact.fee),
        fact.client_reference,
        fact.request_id,
        _RECONCILED.get(fact.reconciliation_state, ""),
        _milliseconds(fact.create_time),
        tuple([_transition(move) for move in fact.transitions]),
    )


def report_fact(fact: report_facts_pb2.ReportFact) -> ReportFact:
    """A provider's report on a trade."""
    return ReportFact(
        fact.trade_id,
        fact.webhook_id,
        fact.source,
        fact.provider_event_id,
        fact.kind.removeprefix("trade."),
        amount_of(fact.crypto) if fact.HasField("crypto") else None,
        _processing(fact.processing),
    )


def payin_fact(fact: report_facts_pb2.PayinFact) -> PayinFact:
    """A bank's report of money received."""
    return PayinFact(
        fact.event_id,
        fact.webhook_id,
        fact.source,
        fact.provider_event_id,
        fact.bank_transaction_id,
        fact.funding_reference,
        amount_of(fact.amount),
        fact.organization_id,
        _processing(fact.processing),
    )


def amount_of(money: types_pb2.Money) -> Amount:
    """An amount; raises InvalidRequest where a colleague sends what is none."""
    return amount(money.amount, money.currency)


def _transition(move: trade_facts_pb2.TerminalTransition) -> Transition:
    return Transition(
        _STATUSES.get(move.status, ""),
        move.number,
        move.event_id,
        move.source,
        move.provider_event_id,
        move.webhook_id,
        amount_of(move.reported_crypto) if move.HasField("reported_crypto") else None,
        _milliseconds(move.create_time),
    )


def _processing(done: report_facts_pb2.ReportProcessing) -> Processing:
    return Processing(
        _STATES.get(done.state, ""),
        done.effect,
        done.detail or done.refusal_reason,
        done.first_webhook_id,
        done.request_id,
        _milliseconds(done.receive_time),
    )


def _milliseconds(moment: Timestamp) -> int:
    return moment.seconds * 1000 + moment.nanos // 1_000_000
