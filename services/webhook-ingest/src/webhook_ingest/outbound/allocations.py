"""Owns the bytes of allocation events."""

from datetime import UTC, datetime

from poolkit.kafka import PAYIN_ALLOCATED
from poolkit.money import format_amount
from poolkit.outbox import OutboxEvent
from poolkit.rpc.convert import MODES, from_time
from pools.events.v1 import events_pb2
from pools.types.v1 import types_pb2
from webhook_ingest.domain.allocations import Allocation
from webhook_ingest.store.unallocated import UnallocatedPayin


class AllocationEncoder:
    """Encodes the events of one mode. Fulfils `webhook_ingest.app.ports.AllocationEvents`."""

    def __init__(self, mode: str) -> None:
        self._mode = MODES[mode]

    def allocated(
        self,
        event_id: str,
        payin: UnallocatedPayin,
        allocation: Allocation,
        allocated_at: datetime,
        request_id: str,
        traceparent: str,
    ) -> OutboxEvent:
        """A person's word; its business date is the UTC date on which it was given."""
        business_date = allocated_at.astimezone(UTC).date()
        header = events_pb2.EventHeader(
            event_id=event_id,
            type="payin.allocated",
            mode=self._mode,
            organization_id=allocation.organization_id,
            request_id=request_id,
            occur_time=from_time(allocated_at),
            business_date=business_date.isoformat(),
        )
        message = events_pb2.PayinAllocated(
            header=header,
            payin_event_id=payin.payin_event_id,
            amount=types_pb2.Money(amount=format_amount(payin.amount, payin.currency), currency=payin.currency),
            allocated_by=allocation.allocated_by,
            allocation_reason=allocation.reason,
        )
        return OutboxEvent(
            event_id=event_id,
            topic=PAYIN_ALLOCATED,
            key=allocation.organization_id,
            type=header.type,
            request_id=request_id,
            traceparent=traceparent,
            payload=message.SerializeToString(deterministic=True),
            business_date=business_date,
        )
