"""Owns the bytes of pay-in events: what the outbox keeps and Kafka carries."""

from datetime import UTC

from poolkit.kafka import PAYIN_CREDITED
from poolkit.outbox import OutboxEvent
from poolkit.rpc.convert import MODES, from_time
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2
from webhook_ingest.domain.events import payin_event_id
from webhook_ingest.store.webhooks import StoredWebhook


class PayinEvents:
    """Encodes the events of one mode. Fulfils `webhook_ingest.app.ports.Events`.

    Everything in an event comes from the stored webhook and the organization: its business date is the UTC date on
    which the webhook was received, whenever it is processed.
    """

    def __init__(self, mode: str) -> None:
        self._mode = MODES[mode]

    def credited(self, webhook: StoredWebhook, organization_id: str, traceparent: str) -> OutboxEvent:
        """The event of money received."""
        told = webhook.event
        business_date = webhook.received_at.astimezone(UTC).date()
        header = events_pb2.EventHeader(
            event_id=payin_event_id(webhook.source, told.bank_transaction_id),
            type=told.kind,
            mode=self._mode,
            organization_id=organization_id,
            request_id=webhook.request_id,
            occur_time=from_time(webhook.received_at),
            business_date=business_date.isoformat(),
        )
        message = events_pb2.PayinCredited(
            header=header,
            source=webhook.source,
            bank_transaction_id=told.bank_transaction_id,
            funding_reference=told.funding_reference,
            amount=types_pb2.Money(amount=told.amount_text, currency=told.currency),
            webhook_id=webhook.webhook_id,
        )
        return OutboxEvent(
            event_id=header.event_id,
            topic=PAYIN_CREDITED,
            key=organization_id,
            type=told.kind,
            request_id=webhook.request_id,
            traceparent=traceparent,
            payload=message.SerializeToString(deterministic=True),
            business_date=business_date,
        )
