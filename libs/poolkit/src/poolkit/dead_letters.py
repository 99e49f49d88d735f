"""Owns reading consumers' dead-letter topics and sending what lies there once more to where it came from.

A letter is what `poolkit.inbox` set aside: the message as it was, and why, in headers. A replay sends it to its own
topic and key again, without those headers and with `replayed-from`, and then leaves a mark behind it in the dead-letter
topic, by which a later look knows. Every consumer of that topic gets it, and acts once per event id, so a replay too
many harms nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from poolkit.errors import Unavailable
from poolkit.kafka import Message, Producer, dead_letter_topic

REPLAYED: Final = "replayed-offset"
"""On a mark: the offset of the letter that was replayed."""

_ABOUT: Final = "dead-letter-"
_FETCH_MS: Final = 1000
_PAUSE_SECONDS: Final = 5.0

_WAITING: Final = Gauge("pools_dead_letters_waiting_events", "Events set aside and not replayed since", ["consumer"])


class Letter(NamedTuple):
    """A message that a consumer could not apply. `topic` is the real name, with the mode."""

    service: str
    dead_letter_topic: str
    letter_offset: int
    """In the dead-letter topic, which has one partition."""
    topic: str
    partition: int
    offset: int
    event_id: str
    type: str
    organization_id: str
    request_id: str
    reason: str
    error: str
    dead_lettered_at: datetime
    replayed_at: datetime | None

    @property
    def letter_id(self) -> str:
        """`ledger/17`: names this letter among all."""
        return f"{self.service}/{self.letter_offset}"


class Replayed(NamedTuple):
    """What became of one letter."""

    letter: Letter
    refusal: str
    """Empty when it was sent."""


async def list_letters(bootstrap: str, mode: str, service: str, *, limit: int) -> list[Letter]:
    """The newest letters of a consumer, newest first. Raises Unavailable."""
    found: deque[Letter] = deque(maxlen=limit)
    async with _reading(bootstrap) as consumer:
        marks = await _marks(consumer, mode, service)
        async for letter, _ in _letters(consumer, mode, service, marks):
            found.append(letter)
    return list(reversed(found))


async def replay_letters(
    bootstrap: str,
    mode: str,
    service: str,
    producer: Producer,
    *,
    chosen: Callable[[Letter], bool],
    sent: set[str],
    limit: int,
) -> list[Replayed]:
    """Sends the `chosen` letters again, oldest first, `limit` at most, each event id that is not in `sent` once.

    Raises Unavailable when the broker does not take one: nothing is known of that one, the ones before it are sent.
    """
    done: list[Replayed] = []
    async with _reading(bootstrap) as consumer, _reading(bootstrap) as originals:
        marks = await _marks(consumer, mode, service)
        async for letter, record in _letters(consumer, mode, service, marks):
            name = letter.event_id or letter.letter_id
            if len(done) == limit:
                break
            if name in sent or not chosen(letter):
                continue
            sent.add(name)
            done.append(Replayed(letter, await _replay(letter, record, producer, originals)))
    return done


class WaitingLetters:
    """Keeps count of a consumer's letters that nobody has replayed, in every replica: it is the topic's, not ours."""

    def __init__(self, bootstrap: str, mode: str, service: str) -> None:
        self._bootstrap = bootstrap
        self._place = TopicPartition(dead_letter_topic(service, mode), 0)
        self._count = _WAITING.labels(service)

    async def run(self) -> None:
        """Reads the topic from its beginning, and on as it grows; a broker out of reach is waited for."""
        while True:
            try:
                async with _reading(self._bootstrap) as consumer:
                    consumer.assign([self._place])
                    await consumer.seek_to_beginning(self._place)
                    await self._follow(consumer)
            except Unavailable:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        waiting: set[int] = set()
        while True:
            self._count.set(len(waiting))
            for record in (await consumer.getmany(self._place, timeout_ms=_FETCH_MS)).get(self._place, ()):
                replayed = dict(record.headers).get(REPLAYED)
                if replayed is None:
                    waiting.add(record.offset)
                else:
                    waiting.discard(int(replayed))


async def _replay(letter: Letter, record: Any, producer: Producer, originals: AIOKafkaConsumer) -> str:
    value = record.value or await _original(letter, originals)
    if not value:
        return "The letter is empty, and the message it was made of is gone from its topic."
    now = datetime.now(UTC).isoformat().encode()
    headers = [(name, said) for name, said in record.headers if not name.startswith((_ABOUT, "replayed-"))]
    headers += [("replayed-from", f"{letter.dead_letter_topic}/{letter.letter_offset}".encode()), ("replayed-at", now)]
    await producer.send(Message(letter.topic, record.key or b"", value, headers))
    mark = [
        (REPLAYED, str(letter.letter_offset).encode()),
        ("replayed-at", now),
        ("event-id", letter.event_id.encode()),
    ]
    await producer.send(Message(letter.dead_letter_topic, record.key or b"", b"", mark))
    return ""


async def _original(letter: Letter, consumer: AIOKafkaConsumer) -> bytes:
    """The message itself, for a letter that would have been too large with what is said about it."""
    place = TopicPartition(letter.topic, letter.partition)
    consumer.assign([place])
    consumer.seek(place, letter.offset)
    batches = await consumer.getmany(place, timeout_ms=_FETCH_MS, max_records=1)
    for record in batches.get(place, ()):
        if record.offset == letter.offset:
            return record.value or b""
    return b""


async def _marks(consumer: AIOKafkaConsumer, mode: str, service: str) -> dict[int, datetime]:
    marks: dict[int, datetime] = {}
    async for record in _records(consumer, dead_letter_topic(service, mode)):
        headers = dict(record.headers)
        if REPLAYED in headers:
            marks[int(headers[REPLAYED])] = _moment(record)
    return marks


async def _letters(
    consumer: AIOKafkaConsumer, mode: str, service: str, marks: dict[int, datetime]
) -> AsyncIterator[tuple[Letter, Any]]:
    name = dead_letter_topic(service, mode)
    async for record in _records(consumer, name):
        headers = {key: value.decode(errors="replace") for key, value in record.headers}
        if REPLAYED in headers:
            continue
        yield (
            Letter(
                service,
                name,
                record.offset,
                headers.get("dead-letter-topic", ""),
                int(headers.get("dead-letter-partition", "0")),
                int(headers.get("dead-letter-offset", "0")),
                headers.get("event-id", ""),
                headers.get("type", ""),
                (record.key or b"").decode(errors="replace"),
                headers.get("request-id", ""),
                headers.get("dead-letter-reason", ""),
                headers.get("dead-letter-error", ""),
                _moment(record),
                marks.get(record.offset),
            ),
            record,
        )


async def _records(consumer: AIOKafkaConsumer, name: str) -> AsyncIterator[Any]:
    """Everything that lies in a dead-letter topic now; it has one partition (`poolkit.kafka.ensure_topics`)."""
    place = TopicPartition(name, 0)
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    end = (await consumer.end_offsets([place]))[place]
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=_FETCH_MS)).get(place, ()):
            if record.offset < end:
                yield record


def _moment(record: Any) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


@asynccontextmanager
async def _reading(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError) as error:
        raise Unavailable("The broker does not answer.") from error
    finally:
        await consumer.stop()
