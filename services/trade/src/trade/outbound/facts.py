"""Owns how trades look to the daily close. A day has a million of them: messages are filled in place, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from poolkit.database import Record
from poolkit.ids import event_id
from poolkit.rpc.convert import set_time
from pools.trade.v1 import trade_facts_pb2
from pools.types.v1 import types_pb2
from trade.outbound.views import RECONCILIATION_STATES, SIDES, STATUSES
from trade.store.facts import TRADE_COLUMNS, TradeFact

_SIDES: Final = {str(side): number for side, number in SIDES.items()}
_STATUSES: Final = {str(status): number for status, number in STATUSES.items()}


def add_facts(message: trade_facts_pb2.StreamTradeFactsResponse | trade_facts_pb2.StreamOpenTradesResponse,
              facts: Iterable[TradeFact]) -> None:  # fmt: skip
    """Adds the facts to a message. Event ids follow from trade id and type, as the events' own do."""
    for trade_id, trade, transitions in facts:
        (
            _, organization_id, quote_id, pool_id, side, status, fiat_currency, fiat_amount, crypto_currency,
            crypto_amount, fee_amount, rate, spread_bps, client_reference, request_id, reconciliation_state, created_at,
        ) = trade[:TRADE_COLUMNS]  # fmt: skip
        fact = message.facts.add(
            trade_id=trade_id,
            organization_id=organization_id,
            quote_id=quote_id,
            pool_id=pool_id,
            side=_SIDES[side],
            status=_STATUSES[status],
            rate=rate,
            spread_bps=spread_bps,
            client_reference=client_reference,
            request_id=request_id,
            reconciliation_state=RECONCILIATION_STATES[reconciliation_state],
        )
        _set_money(fact.fiat, fiat_amount, fiat_currency)
        _set_money(fact.crypto, crypto_amount, crypto_currency)
        _set_money(fact.fee, fee_amount, fiat_currency)
        set_time(fact.create_time, created_at)
        for transition in transitions:
            _add_transition(fact, transition)


def _add_transition(fact: trade_facts_pb2.TradeFact, row: Record) -> None:
    (
        status, number, source, provider_event_id, webhook_id, reported_currency, reported_amount, request_id,
        created_at,
    ) = row[TRADE_COLUMNS:]  # fmt: skip
    transition = fact.transitions.add(
        status=_STATUSES[status],
        number=number,
        event_id=event_id(fact.trade_id, f"pool.transaction.{status}"),
        source=source,
        provider_event_id=provider_event_id,
        webhook_id=webhook_id,
        request_id=request_id,
    )
    if reported_currency:
        _set_money(transition.reported_crypto, reported_amount, reported_currency)
    set_time(transition.create_time, created_at)


def _set_money(money: types_pb2.Money, amount: str, currency: str) -> None:
    money.amount = amount
    money.currency = currency
