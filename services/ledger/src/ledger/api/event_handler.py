"""The way in for events: batches of the ledger's four topics, each batch one transaction."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from ledger.api.decode import Received
from ledger.app.apply_events import ApplyEvents
from ledger.app.batch import TURN_EVENTS
from ledger.app.bury_event import bury_event
from ledger.domain.events import Event
from ledger.store.events import StoredEvent
from poolkit.database import Database
from poolkit.errors import DomainError
from poolkit.inbox import TRANSIENT, PoisonEvent, ReceivedEvent
from poolkit.kafka import PAYIN_ALLOCATED, PAYIN_CREDITED, TRADE_TERMINAL, TREASURY_MOVED
from poolkit.logs import of_request

TOPICS: Final = (TRADE_TERMINAL, PAYIN_CREDITED, PAYIN_ALLOCATED, TREASURY_MOVED)

log = structlog.get_logger(__name__)


class EventHandler:
    """Applies what an EventConsumer hands over.

    An event that fails alone is kept as dead in the inbox before it is given up to the dead-letter topic, so the close
    can list it and the books can be rebuilt without the broker.
    """

    def __init__(self, database: Database, apply: ApplyEvents, decode: Callable[[Received], Event]) -> None:
        self._database = database
        self._apply = apply
        self._decode = decode

    async def __call__(self, received: list[ReceivedEvent]) -> None:
        """One transaction for the whole batch. Raises PoisonEvent for what can never be applied."""
        try:
            await self._apply(await self._read(received))
        except TRANSIENT:
            raise
        except Exception as error:
            if len(received) == 1:
                await self._bury(received[0], error)
            if isinstance(error, DomainError):
                raise PoisonEvent(error.code, str(error)) from error
            raise

    async def _read(self, received: list[ReceivedEvent]) -> list[Event]:
        events = []
        for count, event in enumerate(received, 1):
            events.append(self._decode(event))
            if count % TURN_EVENTS == 0:
                await asyncio.sleep(0)
        return events

    async def _bury(self, event: ReceivedEvent, error: Exception) -> None:
        stored = StoredEvent(
            event.event_id,
            event.topic,
            event.type,
            event.payload,
            event.request_id,
            event.traceparent,
            event.partition,
            event.offset,
        )
        why = str(error) if isinstance(error, DomainError) else type(error).__name__
        try:
            await bury_event(self._database, stored, event.key, why)
        except TRANSIENT:
            raise
        except Exception as failure:
            # Bytes that not even the inbox takes, such as a NUL in the event's id; the dead-letter topic has them.
            named = of_request(event.request_id, event.traceparent)
            log.error("event_not_buried", event_id=event.event_id, exc_info=failure, **named)
