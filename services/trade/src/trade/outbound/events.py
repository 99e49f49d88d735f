"""Owns the bytes of trade events: what the outbox keeps and Kafka carries."""

from __future__ import annotations

from datetime import UTC, datetime

from poolkit.ids import event_id
from poolkit.kafka import TRADE_RESERVED, TRADE_TERMINAL
from poolkit.outbox import OutboxEvent
from poolkit.rpc.convert import MODES, from_time
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2
from trade.domain.lifecycle import Transition
from trade.domain.trade import Trade
from trade.outbound.views import trade_message


class TradeEvents:
    """Encodes the events of one mode. Event ids follow from trade id and type, so a repeat has the same id."""

    def __init__(self, mode: str) -> None:
        self._mode = MODES[mode]

    def reserved(self, trade: Trade, traceparent: str) -> OutboxEvent:
        """The event settlement adapters act on."""
        header = self._header(trade, trade.created_at)
        payload = events_pb2.TradeReserved(header=header, trade=trade_message(trade)).SerializeToString(
            deterministic=True
        )
        return _outbox_event(TRADE_RESERVED, header, traceparent, payload, trade.created_at)

    def terminal(self, transition: Transition) -> OutboxEvent:
        """The event everyone acts on who gives back, posts or tells."""
        trade, report = transition.trade, transition.report
        header = self._header(trade, trade.updated_at)
        message = events_pb2.TradeTerminal(
            header=header,
            trade=trade_message(trade),
            number=trade.terminal_count,
            reported_crypto=types_pb2.Money(amount=report.crypto_amount, currency=report.crypto_currency)
            if report.crypto_amount
            else None,
            source=report.source,
            webhook_id=report.webhook_id,
        )
        return _outbox_event(
            TRADE_TERMINAL, header, report.traceparent, message.SerializeToString(deterministic=True), trade.updated_at
        )

    def _header(self, trade: Trade, moment: datetime) -> events_pb2.EventHeader:
        kind = f"pool.transaction.{trade.status}"
        return events_pb2.EventHeader(
            event_id=event_id(trade.trade_id, kind),
            type=kind,
            mode=self._mode,
            organization_id=trade.organization_id,
            request_id=trade.request_id,
            occur_time=from_time(moment),
            business_date=moment.astimezone(UTC).date().isoformat(),
        )


def _outbox_event(
    topic: str, header: events_pb2.EventHeader, traceparent: str, payload: bytes, moment: datetime
) -> OutboxEvent:
    return OutboxEvent(
        event_id=header.event_id,
        topic=topic,
        key=header.organization_id,
        type=header.type,
        request_id=header.request_id,
        traceparent=traceparent,
        payload=payload,
        business_date=moment.astimezone(UTC).date(),
    )
