"""Owns how a trade looks as a message: the one view that answers, lists and events share."""

from __future__ import annotations

from poolkit.rpc.convert import from_time
from pools.types.v1 import types_pb2
from trade.domain.trade import Side, Status, Trade

SIDES = {Side.ON_RAMP: types_pb2.SIDE_ON_RAMP, Side.OFF_RAMP: types_pb2.SIDE_OFF_RAMP}
STATUSES = {
    Status.RESERVED: types_pb2.TRADE_STATUS_RESERVED,
    Status.SETTLED: types_pb2.TRADE_STATUS_SETTLED,
    Status.FAILED: types_pb2.TRADE_STATUS_FAILED,
    Status.RELEASED: types_pb2.TRADE_STATUS_RELEASED,
    Status.RETURNED: types_pb2.TRADE_STATUS_RETURNED,
}
RECONCILIATION_STATES = {
    "open": types_pb2.RECONCILIATION_STATE_OPEN,
    "matched": types_pb2.RECONCILIATION_STATE_MATCHED,
    "exception": types_pb2.RECONCILIATION_STATE_EXCEPTION,
}


def trade_message(trade: Trade) -> types_pb2.Trade:
    """The partner-visible view of a trade."""
    terms = trade.terms
    return types_pb2.Trade(
        transact_id=trade.trade_id,
        quote_id=trade.quote_id,
        pool_id=trade.pool_id,
        side=SIDES[terms.side],
        status=STATUSES[trade.status],
        fiat=types_pb2.Money(amount=terms.fiat_amount, currency=terms.fiat_currency),
        crypto=types_pb2.Money(amount=terms.crypto_amount, currency=terms.crypto_currency),
        rate=terms.rate,
        spread_bps=terms.spread_bps,
        fee_bps=terms.fee_bps,
        fee=types_pb2.Money(amount=terms.fee_amount, currency=terms.fiat_currency),
        network=terms.network,
        destination_address=terms.destination_address,
        deposit_address=trade.deposit_address,
        network_transaction_id=trade.network_transaction_id,
        client_reference=terms.client_reference,
        request_id=trade.request_id,
        reconciliation_state=RECONCILIATION_STATES[trade.reconciliation_state],
        create_time=from_time(trade.created_at),
        update_time=from_time(trade.updated_at),
        terminal_time=from_time(trade.terminal_at) if trade.terminal_at else None,
    )
