"""Owns one membership in a Kafka consumer group: joining, reading, committing offsets, noticing a stall, leaving."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import Gauge

POLL_SECONDS: Final = 1.0
STALL_SECONDS_MAX: Final = 30.0
START_SECONDS_MAX: Final = 15.0
STOP_SECONDS_MAX: Final = 5.0
COMMIT_SECONDS_MAX: Final = 10.0
# Offsets only say where to begin after a crash; the effects behind them are known by their event ids. So a busy
# consumer commits ten times a second instead of once a batch, which would cost the broker more than the reading.
COMMIT_INTERVAL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 3.0
PROBE_SECONDS_MAX: Final = 3.0

_LAG = Gauge("pools_consumer_lag_events", "Events in a partition not yet read", ["consumer", "topic", "partition"])
_TOLD_OF: Final[defaultdict[str, set[TopicPartition]]] = defaultdict(set)
"""The partitions that it has a number for, by group: memberships come and go."""

_log = structlog.get_logger("poolkit.group_reader")

Records = dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]


class Stalled(Exception):
    """The membership no longer works and must be replaced by a new one."""


class GroupReader(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Reads the topics' share of this member. Used by one task; made anew after `Stalled` or a Kafka error.

    aiokafka can stop fetching, or hang in a commit or while stopping, without an error (its issues 344, 773, 1037,
    1154), so each of these has a limit here, and a watch compares what was read with what is there.
    """

    def __init__(self, group: str, topics: Iterable[str], *, bootstrap: str, client_id: str, batch_max: int) -> None:
        self._group = group
        self._topics = tuple(topics)
        self._batch_max = batch_max
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # The least a broker takes: a member that was killed keeps its partitions for this long.
            session_timeout_ms=6_000,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=120_000,
            request_timeout_ms=20_000,
            metadata_max_age_ms=30_000,
        )
        self.handling = asyncio.Lock()
        """Held while records are being handled: a rebalance waits for it, so that partitions change hands cleanly."""
        self.generation = 0
        """Grows when partitions are taken away; what was read before is then somebody else's."""
        self._assigned = False
        self._reached_at = 0.0
        self._moved_at = time.monotonic()
        self._positions: dict[TopicPartition, int] = {}
        self._failure: BaseException | None = None
        self._limit: asyncio.Timeout | None = None
        self._to_commit: dict[TopicPartition, int] = {}
        self._committer: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the group has let us in and the broker has answered lately."""
        limit = PROBE_SECONDS + 2 * PROBE_SECONDS_MAX
        return self._assigned and self._failure is None and time.monotonic() - self._reached_at < limit

    async def start(self) -> None:
        """Joins. Raises KafkaError or TimeoutError when no broker answers."""
        self._consumer.subscribe(self._topics, listener=self)
        async with asyncio.timeout(START_SECONDS_MAX):
            await self._consumer.start()
        self._reached_at = self._moved_at = time.monotonic()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self._group}")

    async def poll(self) -> Records:
        """What has come, up to `batch_max`; empty after a second, or when interrupted. Raises Stalled, KafkaError."""
        if self._failure is not None:
            raise Stalled from self._failure
        try:
            async with asyncio.timeout(STALL_SECONDS_MAX) as self._limit:
                records: Records = await self._consumer.getmany(
                    timeout_ms=int(POLL_SECONDS * 1000), max_records=self._batch_max
                )
        except TimeoutError as exc:
            raise Stalled from exc
        finally:
            self._limit = None
        return records

    def interrupt(self) -> None:
        """Ends a poll that waits, by Stalled."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    def commit_later(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commits soon, beside the reading. Lost when we die first: then the events come again."""
        self._to_commit.update(offsets)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_now_and_then(), name=f"commit {self._group}")

    async def stop(self) -> None:
        """Commits what is handled and leaves, within a limit."""
        beside = {task for task in (self._watcher, self._committer) if task is not None}
        for task in beside:
            task.cancel()
        if beside:
            await asyncio.wait(beside, timeout=STOP_SECONDS_MAX)
        if self._failure is None:
            await self._commit()
        stopping = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=STOP_SECONDS_MAX)
        if not stopping.done():
            stopping.cancel()
            _log.warning("consumer did not stop in time", group=self._group)
        elif stopping.cancelled() or stopping.exception() is not None:
            # aiokafka awaits tasks that it has cancelled itself; taken for our own cancellation, that would end us.
            _log.info("consumer ended with an error", group=self._group)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Lets what is being handled end and commits it, so that the next owner begins behind it."""
        self.generation += 1
        self._assigned = False
        if not revoked:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX), self.handling:
                await self._commit()
        except TimeoutError:
            # The next owner gets some events a second time, and knows them by their ids.
            _log.warning("partitions given up while handling", group=self._group)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Counts the time to the next stall from here."""
        self._assigned = True
        self._positions = {}
        # Whoever reads them now tells how far it is; ours would stay as it was, and be added to that.
        told_of = _TOLD_OF[self._group]
        for place in told_of - assigned:
            _LAG.remove(self._group, place.topic, place.partition)
        told_of &= assigned
        self._moved_at = time.monotonic()
        _log.info("partitions assigned", group=self._group, partitions=len(assigned))

    async def _commit_now_and_then(self) -> None:
        while self._to_commit:
            await self._commit()
            await asyncio.sleep(COMMIT_INTERVAL_SECONDS)

    async def _commit(self) -> None:
        assigned = self._consumer.assignment()
        offsets = {place: offset for place, offset in self._to_commit.items() if place in assigned}
        self._to_commit.clear()
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_SECONDS_MAX):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            _log.info("offsets not committed, partitions have a new owner", group=self._group)
        except (KafkaError, TimeoutError) as exc:
            self._failure = exc
            self.interrupt()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            try:
                async with asyncio.timeout(PROBE_SECONDS_MAX):
                    behind = await self._lag()
            except (KafkaError, TimeoutError):
                continue
            except Exception as exc:
                # A watch that ended would leave us unready for good; a new membership has a new one.
                self._failure = exc
                self.interrupt()
                return
            self._reached_at = time.monotonic()
            if not behind or self.handling.locked():
                self._moved_at = self._reached_at
            elif self._reached_at - self._moved_at > STALL_SECONDS_MAX:
                self._failure = Stalled(f"{behind} events wait and none is read")
                self.interrupt()
                return

    async def _lag(self) -> int:
        """Asks the broker how much there is that was not read, and notes whether reading goes on."""
        assigned = self._consumer.assignment()
        if not assigned:
            await self._consumer.topics()
            return 0
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(assigned)
        positions: dict[TopicPartition, int] = {place: await self._consumer.position(place) for place in assigned}
        if positions != self._positions:
            self._positions, self._moved_at = positions, time.monotonic()
        behind: dict[TopicPartition, int] = {place: max(0, ends[place] - positions[place]) for place in assigned}
        # Some may have been given up while the broker was asked.
        for place in assigned & self._consumer.assignment():
            _LAG.labels(self._group, place.topic, place.partition).set(behind[place])
            _TOLD_OF[self._group].add(place)
        return sum(behind.values())


def past(records: Mapping[TopicPartition, list[Any]]) -> dict[TopicPartition, int]:
    """The offsets to commit once all of these are handled."""
    return {place: batch[-1].offset + 1 for place, batch in records.items()}
