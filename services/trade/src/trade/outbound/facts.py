"""Owns how a trade looks to the daily close."""

from __future__ import annotations

from poolkit.ids import event_id
from poolkit.rpc.convert import from_time
from pools.trade.v1 import trade_facts_pb2
from pools.types.v1 import types_pb2
from trade.outbound.views import RECONCILIATION_STATES, SIDES, STATUSES
from trade.store.facts import EndedAs, TradeFact


def fact_message(fact: TradeFact) -> trade_facts_pb2.TradeFact:
    """The fact as it is streamed. Event ids follow from trade id and type, as the events' own do."""
    trade, terms = fact.trade, fact.trade.terms
    return trade_facts_pb2.TradeFact(
        trade_id=trade.trade_id,
        organization_id=trade.organization_id,
        quote_id=trade.quote_id,
        pool_id=trade.pool_id,
        side=SIDES[terms.side],
        status=STATUSES[trade.status],
        fiat=types_pb2.Money(amount=terms.fiat_amount, currency=terms.fiat_currency),
        crypto=types_pb2.Money(amount=terms.crypto_amount, currency=terms.crypto_currency),
        fee=types_pb2.Money(amount=terms.fee_amount, currency=terms.fiat_currency),
        rate=terms.rate,
        spread_bps=terms.spread_bps,
        client_reference=terms.client_reference,
        request_id=trade.request_id,
        reconciliation_state=RECONCILIATION_STATES[trade.reconciliation_state],
        create_time=from_time(trade.created_at),
        transitions=[_transition(trade.trade_id, one) for one in fact.transitions],
    )


def _transition(trade_id: str, one: EndedAs) -> trade_facts_pb2.TerminalTransition:
    return trade_facts_pb2.TerminalTransition(
        status=STATUSES[one.status],
        number=one.number,
        event_id=event_id(trade_id, f"pool.transaction.{one.status}"),
        source=one.source,
        provider_event_id=one.provider_event_id,
        webhook_id=one.webhook_id,
        reported_crypto=types_pb2.Money(amount=one.reported_amount, currency=one.reported_currency)
        if one.reported_currency
        else None,
        request_id=one.request_id,
        create_time=from_time(one.created_at),
    )
