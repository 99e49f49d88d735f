"""Owns zero-wait group commit: many single requests become one write, without ever waiting for a timer."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

import structlog
from prometheus_client import Gauge, Histogram

from poolkit.database_errors import Contended
from poolkit.errors import DeadlineExceeded, Internal, Overloaded, Unavailable

I = TypeVar("I")  # noqa: E741 - item in, answer out
A = TypeVar("A")
Entries: TypeAlias = list[tuple[I, "asyncio.Future[A]", float]]
"""Items, their callers' answers, and the loop's time at which each is due."""

_BATCH_SIZE: Final = Histogram(
    "pools_batch_size_items", "Items written together", ["batcher"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
_QUEUE_DEPTH: Final = Gauge("pools_batch_queue_items", "Items waiting to be written", ["batcher"])

_log = structlog.get_logger("poolkit.batching")


class Batcher(Generic[I, A]):
    """Gathers items while the batch before is being written; an item that finds nobody writing is written at once.

    `write` gets one to `size_max` items in the order they came and answers each by its position: with a value, or with
    an exception that only that item's caller sees. It runs outside every caller's task and context.

    - `write` raises for several items: each is written again alone, so one bad item harms no other. Hence `write`
      must be safe to repeat after it raised, which one transaction is.
    - `write` raises `Unavailable`: every item fails with it, since each would meet the same wall; the outcome is
      unknown. `Contended` is the exception: nothing happened and the wall is gone, so items are tried alone.
    - A caller that is cancelled before its item is being written is skipped; after that the write may still commit.
    - The queue is full: `Overloaded` at once, nothing begun.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[I]], Awaitable[Sequence[A | Exception]]],
        *,
        size_max: int = 256,
        queue_max: int = 4096,
        in_flight_max: int = 1,
    ) -> None:
        self.name = name
        self._write = write
        self._size_max = size_max
        self._queue_max = queue_max
        self._in_flight_max = in_flight_max
        self._queue: deque[tuple[I, asyncio.Future[A], float]] = deque()
        self._writing = 0
        self._in_flight: dict[int, Entries[I, A]] = {}
        self._items_in_flight = 0
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_at = math.inf
        self._writers: set[asyncio.Task[None]] = set()
        self._draining = False
        # Whoever happens to be first must not lend its request id and trace to everyone's batch.
        self._context = contextvars.copy_context()
        self._observe_size = _BATCH_SIZE.labels(name).observe
        _QUEUE_DEPTH.labels(name).set_function(self._queue.__len__)

    async def submit(self, item: I, *, seconds_max: float | None = None) -> A:
        """Answers the item, or raises what `write` answered for it.

        Raises Overloaded, Unavailable, and DeadlineExceeded when there is no answer within `seconds_max`; the item may
        still be written.
        """
        queue = self._queue
        if len(queue) >= self._queue_max:
            raise Overloaded
        if self._draining:
            raise Unavailable
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        until = math.inf if seconds_max is None else loop.time() + seconds_max
        queue.append((item, answer, until))
        if until < self._expiry_at:
            self._expire_at(until)
        if self._worth_another_batch():
            # The task starts in the next turn of the loop: whoever is ready in this one comes along for free.
            self._writing += 1
            writer = loop.create_task(self._write_until_empty(), context=self._context.copy())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        return await answer

    async def drain(self) -> None:
        """Refuses new items from now on and returns when all that were accepted are answered."""
        self._draining = True
        while self._writers:
            await asyncio.wait(self._writers)

    def _expire_at(self, until: float) -> None:
        """One timer for all who wait, since nearly all are answered in time: a timer each costs more than the queue."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry_at = until
        self._expiry = asyncio.get_running_loop().call_at(until, self._expire)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        self._expiry, self._expiry_at = None, math.inf
        following = math.inf
        for entries in (self._queue, *self._in_flight.values()):
            for _, answer, until in entries:
                if answer.done():
                    continue
                if until <= now:
                    answer.set_exception(DeadlineExceeded())
                elif until < following:
                    following = until
        if following < math.inf:
            self._expire_at(following)

    def _worth_another_batch(self) -> bool:
        """Whether what waits shall be written beside what is being written: once it is as much as each of those."""
        if self._writing == 0:
            return True
        return self._writing < self._in_flight_max and len(self._queue) * self._writing >= self._items_in_flight

    async def _write_until_empty(self) -> None:
        batch: Entries[I, A] = []
        try:
            while self._queue:
                batch = self._take_batch()
                if batch:
                    self._observe_size(len(batch))
                    self._items_in_flight += len(batch)
                    self._in_flight[id(batch)] = batch
                    try:
                        await self._write_batch(batch)
                    finally:
                        del self._in_flight[id(batch)]
                        self._items_in_flight -= len(batch)
                self._writing -= 1
                another = self._worth_another_batch()
                self._writing += 1
                if not another:
                    break
        except BaseException as exc:
            # Only the end of the process cancels a writer. Nobody may be left waiting for an answer.
            _fail([*batch, *self._queue], exc)
            self._queue.clear()
            raise
        finally:
            # In the same step as the last look at the queue: an item that comes later finds nobody writing.
            self._writing -= 1

    def _take_batch(self) -> Entries[I, A]:
        queue = self._queue
        batch: Entries[I, A] = []
        while queue and len(batch) < self._size_max:
            entry = queue.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _write_batch(self, batch: Entries[I, A]) -> None:
        try:
            answers = await self._write([entry[0] for entry in batch])
        except Exception as exc:
            if len(batch) == 1 or _is_wall(exc):
                _fail(batch, exc)
            else:
                _log.warning("batch failed, writing its items alone", batcher=self.name, items=len(batch), exc_info=exc)
                await self._write_singly(batch)
            return
        if len(answers) != len(batch):
            # It may all be committed, so writing it again is no remedy.
            _log.error("wrong number of answers", batcher=self.name, items=len(batch), answers=len(answers))
            for entry in batch:
                _fail([entry], Internal())
            return
        for (_, future, _), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _write_singly(self, batch: Entries[I, A]) -> None:
        for position, entry in enumerate(batch):
            if entry[1].done():
                continue
            await self._write_batch([entry])
            error = None if entry[1].cancelled() else entry[1].exception()
            if isinstance(error, Exception) and _is_wall(error):
                # The others would each wait for the same connection in vain.
                _fail(batch[position + 1 :], error)
                return


def _is_wall(error: Exception) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, Contended)


def _fail(batch: Entries[I, A], error: BaseException) -> None:
    for _, future, _ in batch:
        if not future.done():
            # One exception object raised in many tasks would grow its traceback with each.
            own = error if isinstance(error, Exception) and len(batch) == 1 else Unavailable()
            if own is not error:
                own.__cause__ = error
            future.set_exception(own)
