"""Owns consuming events: batches to a handler, effects before offsets, and what can never be applied set aside."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from prometheus_client import Counter, Histogram

from poolkit import crashpoints
from poolkit.context import CallContext
from poolkit.dead_letters import WaitingLetters
from poolkit.errors import DeadlineExceeded, Overloaded, Unavailable
from poolkit.group_reader import GroupReader, Records, Stalled, past
from poolkit.kafka import Message, Producer, dead_letter_topic, topic
from poolkit.received import PoisonEvent, ReceivedEvent, named_in, read_event
from poolkit.supervision import is_being_cancelled
from poolkit.telemetry.traceparent import is_sampled
from poolkit.telemetry.tracing import batch_span, item_spans

__all__ = ["TRANSIENT", "EventConsumer", "Handler", "PoisonEvent", "ReceivedEvent"]

TRANSIENT: Final = (Unavailable, Overloaded, DeadlineExceeded, OSError)
"""What says nothing about the event: retried for as long as it takes, never dead-lettered."""

APPLIED: Final = crashpoints.declare("inbox.applied", "effects that are committed and offsets that are not")

BACKOFF_SECONDS_MAX: Final = 5.0
# An error that names no poison may be another replica's doing in a rebalance, and gone a moment later.
TRIES_ALONE_MAX: Final = 3

_SIZE: Final = Histogram(
    "pools_consumer_batch_events",
    "Events handled together",
    ["consumer"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
_DEAD_LETTERS: Final = Counter("pools_consumer_dead_letters", "Events set aside", ["consumer", "reason"])
_RETRIES: Final = Counter("pools_consumer_retries", "Batches tried again after a passing failure", ["consumer"])

_log = structlog.get_logger("poolkit.inbox")


Handler = Callable[[list[ReceivedEvent]], Awaitable[None]]


class EventConsumer:
    """Gives a service's events to its handler in batches, in their order within each partition.

    The handler does one transaction for the whole list and returns; it keeps event ids it has applied (an inbox), for
    any event may come again. Offsets are committed afterwards. When it raises

    - something transient (`TRANSIENT`): the same batch again, after a pause that grows to 5 s, for good;
    - `PoisonEvent` or anything else: the halves of the batch, down to the one event that fails alone, which goes to the
      dead-letter topic with the reason; the others are applied. What is no PoisonEvent is tried alone three times.

    Events of the other mode, and messages without an event id, are dead-lettered unseen.
    """

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        bootstrap: str,
        mode: str,
        dead_letter_producer: Producer,
        batch_max: int = 500,
    ) -> None:
        self.name = name
        self.group = topic(f"pools.{name}", mode)
        self._base_names = {topic(base, mode): base for base in topics}
        self._handler = handler
        self._bootstrap = bootstrap
        self._mode = mode
        self._producer = dead_letter_producer
        self._batch_max = batch_max
        self._reader: GroupReader | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._observe_size = _SIZE.labels(name).observe

    @property
    def ready(self) -> bool:
        """Whether it is in its group and reads."""
        return self._reader is not None and self._reader.ready

    async def run(self) -> None:
        """Consumes until `stop()`; joins again, with pauses, whenever the broker was away or reading stalled."""
        self._ended.clear()
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    await self._consume()
                    failures = 0
                except (Exception, asyncio.CancelledError) as exc:
                    if self._stopping.is_set():
                        return
                    if isinstance(exc, asyncio.CancelledError) and is_being_cancelled():
                        raise
                    failures = failures + 1 if self._reader is None else 1
                    passing = isinstance(exc, KafkaError | Stalled | OSError)
                    _log.warning("joining again", consumer=self.name, error=repr(exc), exc_info=not passing)
                    await self._pause(failures)
                finally:
                    self._reader = None
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Finishes the batch in hand, commits, leaves the group. A batch that is being retried is left to others."""
        self._stopping.set()
        if self._reader is not None:
            self._reader.interrupt()
        await self._ended.wait()

    async def count_dead_letters(self) -> None:
        """Keeps count of what any replica has set aside and nobody has replayed, until cancelled."""
        await WaitingLetters(self._bootstrap, self._mode, self.name).run()

    async def _consume(self) -> None:
        reader = GroupReader(
            self.group, self._base_names, bootstrap=self._bootstrap, client_id=self.name, batch_max=self._batch_max
        )
        try:
            await reader.start()
            self._reader = reader
            while not self._stopping.is_set():
                records = await reader.poll()
                if records:
                    async with reader.handling:
                        if await self._apply(records, reader):
                            crashpoints.reach(APPLIED)
                            reader.commit_later(past(records))
        finally:
            await reader.stop()

    async def _apply(self, records: Records, reader: GroupReader) -> bool:
        """Whether all of it is applied or set aside; False when it was given up, to come again here or elsewhere."""
        generation = reader.generation

        def goes_on() -> bool:
            return reader.generation == generation and not self._stopping.is_set()

        events: list[ReceivedEvent] = []
        originals: list[Any] = []
        for record in itertools.chain.from_iterable(records.values()):
            try:
                events.append(read_event(record, self._base_names, self._mode))
                originals.append(record)
            except PoisonEvent as exc:
                if not await self._set_aside(record, exc, goes_on):
                    return False
        self._observe_size(len(events))
        return not events or await self._apply_or_halve(events, originals, goes_on)

    async def _apply_or_halve(
        self, events: list[ReceivedEvent], originals: list[Any], goes_on: Callable[[], bool]
    ) -> bool:
        pending = [(0, len(events))]
        while pending:
            first, end = pending.pop()
            error = await self._try(events[first:end], goes_on)
            if error is None:
                continue
            if isinstance(error, TRANSIENT):
                return False
            if end - first > 1:
                middle = (first + end) // 2
                pending += [(middle, end), (first, middle)]
            elif not await self._set_aside(originals[first], error, goes_on):
                return False
        return True

    async def _try(self, events: list[ReceivedEvent], goes_on: Callable[[], bool]) -> Exception | None:
        """None when applied, the error when these events cannot be; a transient one when it is time to leave."""
        passing = alone = 0
        while True:
            try:
                await self._handle(events)
            except TRANSIENT as exc:
                passing += 1
                _RETRIES.labels(self.name).inc()
                _log.warning("trying again", consumer=self.name, tries=passing, events=len(events), error=repr(exc))
                await self._pause(passing)
                if not goes_on():
                    return exc
            except Exception as exc:
                alone += 1
                if len(events) > 1 or isinstance(exc, PoisonEvent) or alone == TRIES_ALONE_MAX:
                    return exc
                await self._pause(alone)
            else:
                return None

    async def _handle(self, events: list[ReceivedEvent]) -> None:
        sampled = [index for index, event in enumerate(events) if is_sampled(event.traceparent)]
        contexts = [
            CallContext(event.request_id, event.key, event.mode, event.traceparent)
            for event in map(events.__getitem__, sampled)
        ]
        with batch_span(f"consume {self.name}", contexts, kind="consumer"):
            if not sampled:
                await self._handler(events)
                return
            with item_spans(f"apply {self.name}", contexts) as items:
                own = list(events)
                for index, context in zip(sampled, items.contexts, strict=True):
                    own[index] = events[index]._replace(traceparent=context.traceparent)
                await self._handler(own)

    async def _set_aside(self, record: Any, error: Exception, goes_on: Callable[[], bool]) -> bool:
        """Whether the message is in the dead-letter topic; tried until it is, for nothing may be lost."""
        reason = error.reason if isinstance(error, PoisonEvent) else type(error).__name__
        _log.error(
            "event dead-lettered",
            consumer=self.name,
            reason=reason,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            exc_info=error,
            **named_in(record),
        )
        headers = [
            *record.headers,
            ("dead-letter-reason", reason.encode()),
            ("dead-letter-error", str(error)[:500].encode()),
            ("dead-letter-topic", record.topic.encode()),
            ("dead-letter-partition", str(record.partition).encode()),
            ("dead-letter-offset", str(record.offset).encode()),
        ]
        destination = dead_letter_topic(self.name, self._mode)
        message = Message(destination, record.key or b"", record.value or b"", headers)
        tries = 0
        while True:
            try:
                await self._producer.send(message)
            except MessageSizeTooLargeError:
                # The headers say where the whole of it lies.
                message = message._replace(value=b"")
            except Unavailable:
                tries += 1
                await self._pause(tries)
                if not goes_on():
                    return False
            else:
                _DEAD_LETTERS.labels(self.name, reason).inc()
                return True

    async def _pause(self, tries: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(BACKOFF_SECONDS_MAX, 0.05 * 2.0 ** min(tries, 10))):
                await self._stopping.wait()
