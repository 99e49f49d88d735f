"""Owns the names of topics, and sending to them so that order is kept and an acknowledged message is never lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.partitioner import murmur2

from poolkit.errors import Unavailable

TRADE_RESERVED: Final = "pools.trade.reserved.v1"
TRADE_TERMINAL: Final = "pools.trade.terminal.v1"
PAYIN_CREDITED: Final = "pools.payin.credited.v1"
PAYIN_ALLOCATED: Final = "pools.payin.allocated.v1"
TREASURY_MOVED: Final = "pools.treasury.moved.v1"

TOPICS: Final = MappingProxyType(
    {TRADE_RESERVED: 4, TRADE_TERMINAL: 4, PAYIN_CREDITED: 4, PAYIN_ALLOCATED: 4, TREASURY_MOVED: 4}
)
"""Base names and partition counts. A count never changes after creation: keys would move and lose their order."""

CONSUMING_SERVICES: Final = ("gateway", "quote", "ledger")
"""Whose dead-letter topics `ensure_topics` makes."""

VALUE_BYTES_MAX: Final = 900_000
"""Leaves room for key and headers below the 1 MiB a broker takes by default."""

_BATCH_BYTES_MAX: Final = 1_000_000
_TOPIC_SECONDS_MAX: Final = 30.0
_TOPIC_POLL_SECONDS: Final = 0.05
_DEAD_LETTER_RETENTION_MS: Final = 30 * 24 * 3600 * 1000
_START_SECONDS_MAX = 10.0
_STOP_SECONDS_MAX = 5.0

_Sent: TypeAlias = tuple["asyncio.Future[Any]", list[int]]

_log = structlog.get_logger("poolkit.kafka")


def topic(name: str, mode: str) -> str:
    """The topic's real name: test events never share a topic with live ones."""
    return name if mode == "live" else f"{name}.{mode}"


def dead_letter_topic(service: str, mode: str) -> str:
    """Where a consumer puts what it can never apply."""
    return topic(f"pools.dlq.{service}.v1", mode)


class Message(NamedTuple):
    """One message to send; `topic` is the real name, messages with the same key keep their order."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


# Keys are organizations: few, and asked for again and again; the hash itself is slow in Python.
_hash = lru_cache(maxsize=65_536)(murmur2)


def partition_for(key: bytes, partitions: int) -> int:
    """The partition every Kafka client chooses for this key by default."""
    return int(_hash(key) & 0x7FFFFFFF) % partitions


class Producer:
    """Sends with idempotence and acks from all replicas; opens the connection when first used, and again after a loss.

    While the broker is away, sending waits for `delivery_seconds_max` and then gives up with `Unavailable`: the
    message may or may not be there, and sending it again is what the event id makes harmless.
    """

    def __init__(self, bootstrap: str, *, client_id: str, delivery_seconds_max: float = 20.0) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._delivery_seconds_max = delivery_seconds_max
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connects. Raises Unavailable when no broker answers."""
        await self._started()

    async def stop(self) -> None:
        """Sends what is still waiting, for at most a few seconds, and disconnects."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def is_ready(self, seconds_max: float = 2.0) -> bool:
        """Whether a broker answers now."""
        try:
            async with asyncio.timeout(seconds_max):
                producer = await self._started()
                await producer.client.fetch_all_metadata()
        except (Unavailable, KafkaError, OSError):
            return False
        return True

    async def send(self, message: Message) -> None:
        """Sends one and waits until it is stored. Raises Unavailable, or MessageSizeTooLargeError."""
        [error] = await self.send_all([message])
        if error is not None:
            raise error

    async def send_all(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Sends in this order and waits until all are stored; answers each by its position with None or its error."""
        if not messages:
            return []
        try:
            producer = await self._started()
        except Unavailable as exc:
            return [exc] * len(messages)
        unknown = Unavailable()
        errors: list[Exception | None] = [
            # The broker would refuse it, and with it, idempotence being a count, all that follow it in its partition.
            MessageSizeTooLargeError() if len(message.value) > VALUE_BYTES_MAX else unknown
            for message in messages
        ]
        for future, positions in await self._hand_over(producer, messages):
            error = _outcome(future)
            for position in positions:
                errors[position] = error
        if any(isinstance(error, Unavailable) for error in errors):
            # A producer that failed once may have lost count of what the broker has; the next send opens a new one.
            await self._replace(producer)
        return errors

    async def _hand_over(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[_Sent]:
        """Batches with their acknowledgements, waited for as long as there is time; fewer batches when it ran out."""
        sent: list[_Sent] = []
        try:
            async with asyncio.timeout(self._delivery_seconds_max):
                for name, partition, batch, positions in await _batches(producer, messages):
                    acknowledged = await producer.send_batch(batch, name, partition=partition)
                    sent.append((acknowledged, positions))
                if sent:
                    await asyncio.wait([future for future, _ in sent])
        except (KafkaError, OSError) as exc:
            _log.warning("sending failed", error=repr(exc), messages=len(messages))
        return sent

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    client_id=self._client_id,
                    enable_idempotence=True,
                    acks="all",
                    max_batch_size=_BATCH_BYTES_MAX,
                    max_request_size=_BATCH_BYTES_MAX,
                    request_timeout_ms=10_000,
                    metadata_max_age_ms=60_000,
                )
                try:
                    async with asyncio.timeout(_START_SECONDS_MAX):
                        await producer.start()
                except BaseException as exc:
                    await _stop(producer)
                    if isinstance(exc, KafkaError | OSError):
                        raise Unavailable from exc
                    raise
                self._producer = producer
            return self._producer

    async def _replace(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            await _stop(producer)


async def _batches(producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[tuple[str, int, Any, list[int]]]:
    """Messages as one record batch per partition, or several where one would be too large; with their positions.

    Handing whole batches over costs a third of the CPU of one `send` for each message.
    """
    partitions: dict[str, int] = {}
    open_batches: dict[tuple[str, int], tuple[str, int, Any, list[int]]] = {}
    batches: list[tuple[str, int, Any, list[int]]] = []
    for position, (name, key, value, headers) in enumerate(messages):
        if len(value) > VALUE_BYTES_MAX:
            continue
        if name not in partitions:
            partitions[name] = len(await producer.partitions_for(name))
        partition = partition_for(key, partitions[name])
        place = (name, partition)
        batch = open_batches.get(place)
        if batch is None or batch[2].append(timestamp=None, key=key, value=value, headers=headers) is None:
            builder = producer.create_batch()
            builder.append(timestamp=None, key=key, value=value, headers=headers)
            open_batches[place] = batch = (name, partition, builder, [])
            batches.append(batch)
        batch[3].append(position)
    return batches


def _outcome(future: asyncio.Future[Any]) -> Exception | None:
    if not future.done() or future.cancelled():
        future.cancel()
        return Unavailable()
    error = future.exception()
    if error is None:
        return None
    unavailable = Unavailable()
    unavailable.__cause__ = error
    return unavailable


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stops within a limit; aiokafka itself waits for a broker that may never come back."""
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait({stopping}, timeout=_STOP_SECONDS_MAX)
    if not stopping.done():
        stopping.cancel()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError, KafkaError, OSError):
            async with asyncio.timeout(_STOP_SECONDS_MAX):
                await producer.client.close()
    elif stopping.cancelled() or stopping.exception() is not None:
        # aiokafka awaits tasks that it has cancelled itself; taken for our own cancellation, that would end the sender.
        _log.info("producer ended with an error")


def wanted_topics(mode: str, *, replication_factor: int) -> list[NewTopic]:
    """The topics of a mode as they are to be made, dead-letter topics included.

    What is acknowledged lies on all replicas but one, so that no broker's death loses it nor stops us.
    """
    safe = {"min.insync.replicas": str(max(1, replication_factor - 1))}
    kept = safe | {"retention.ms": str(_DEAD_LETTER_RETENTION_MS)}
    wanted = [
        NewTopic(topic(name, mode), count, replication_factor, topic_configs=safe) for name, count in TOPICS.items()
    ]
    return wanted + [
        NewTopic(dead_letter_topic(service, mode), 1, replication_factor, topic_configs=kept)
        for service in CONSUMING_SERVICES
    ]


async def ensure_topics(bootstrap: str, mode: str, *, replication_factor: int = 1) -> None:
    """Makes the topics of this mode that are missing, dead-letter topics included. Production wants 3 replicas.

    Raises RuntimeError when a topic exists with another number of partitions, Unavailable when no broker answers.
    """
    wanted = wanted_topics(mode, replication_factor=replication_factor)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        response = await admin.create_topics(wanted)
        for name, code, *_ in response.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise RuntimeError(f"topic {name} could not be created: {for_code(code).__name__}")
        found = await _partition_counts(admin, [new.name for new in wanted])
    except (KafkaError, OSError, TimeoutError) as exc:
        raise Unavailable from exc
    finally:
        await admin.close()
    for new in wanted:
        if found[new.name] != new.num_partitions:
            raise RuntimeError(
                f"topic {new.name} has {found[new.name]} partitions instead of {new.num_partitions}; "
                "changing that would break the order of keys"
            )


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """How many partitions each topic has. A broker answers that a topic was made before it knows of its partitions."""
    async with asyncio.timeout(_TOPIC_SECONDS_MAX):
        while True:
            described = await admin.describe_topics(names)
            found = {entry["topic"]: len(entry["partitions"]) for entry in described}
            if all(found.get(name) for name in names):
                return found
            await asyncio.sleep(_TOPIC_POLL_SECONDS)
