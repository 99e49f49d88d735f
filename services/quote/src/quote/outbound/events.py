"""Owns the bytes of treasury events: what the outbox keeps and Kafka carries."""

from typing import Final

from poolkit.kafka import TREASURY_MOVED
from poolkit.money import Money
from poolkit.outbox import OutboxEvent
from poolkit.rpc.convert import MODES, from_money, from_time
from pools.events.v1 import events_pb2
from quote.app.move_treasury import EVENT_TYPE
from quote.store.treasury import Moved

ORGANIZATION: Final = "treasury"


class TreasuryEvents:
    """Encodes the events of one mode. The event id follows from the movement's, so a repeat has the same."""

    def __init__(self, mode: str) -> None:
        self._mode = MODES[mode]

    def __call__(self, moved: Moved) -> OutboxEvent:
        """The event that the ledger follows."""
        movement = moved.movement
        message = events_pb2.TreasuryMoved(
            header=events_pb2.EventHeader(
                event_id=moved.event_id,
                type=EVENT_TYPE,
                mode=self._mode,
                organization_id=ORGANIZATION,
                request_id=movement.context.request_id,
                occur_time=from_time(moved.occurred_at),
                business_date=moved.business_date.isoformat(),
            ),
            movement_id=movement.movement_id,
            pool_id=movement.pool_id,
            amount=from_money(Money(movement.amount, movement.currency)),
        )
        return OutboxEvent(
            event_id=moved.event_id,
            topic=TREASURY_MOVED,
            key=ORGANIZATION,
            type=EVENT_TYPE,
            request_id=movement.context.request_id,
            traceparent=movement.context.traceparent,
            payload=message.SerializeToString(deterministic=True),
            business_date=moved.business_date,
        )
