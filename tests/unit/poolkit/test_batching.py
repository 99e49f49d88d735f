"""Batches form without waiting, answer each caller alone, and leave nobody without an answer."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence

import pytest

from poolkit.batching import Batcher
from poolkit.database_errors import Contended
from poolkit.errors import DeadlineExceeded, Internal, InvalidRequest, Overloaded, QuoteExpired, Unavailable
from tests.waiting import eventually


class Writer:
    """Doubles what it is given, remembers the batches, and waits where the test tells it to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(items)
        self.begun.set()
        await self.gate.wait()
        return [item * 2 for item in items]


async def begin(batcher: Batcher[int, int], items: Sequence[int]) -> list["asyncio.Task[int]"]:
    """Submits each item from a task of its own and lets them all reach the queue."""
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: Sequence["asyncio.Task[int]"]) -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_lone_item_is_written_at_once() -> None:
    writer = Writer()
    assert await Batcher[int, int]("lone", writer).submit(21) == 42
    assert writer.batches == [[21]]


async def test_what_arrives_while_a_batch_is_written_becomes_the_next_in_order() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("gathering", writer)
    tasks = await begin(batcher, [1])
    await writer.begun.wait()
    tasks += await begin(batcher, [2, 3, 4])
    writer.gate.set()
    assert await outcomes(tasks) == [2, 4, 6, 8]
    assert writer.batches == [[1], [2, 3, 4]]


async def test_callers_ready_in_the_same_turn_share_the_first_batch() -> None:
    writer = Writer()
    batcher = Batcher[int, int]("together", writer)
    assert await asyncio.gather(*(batcher.submit(item) for item in range(50))) == [item * 2 for item in range(50)]
    assert writer.batches == [list(range(50))]


async def test_an_item_that_comes_as_the_writer_ends_is_not_forgotten() -> None:
    """The last look at the queue and the end of the writer are one step: nothing falls between them."""
    writer = Writer()
    batcher = Batcher[int, int]("edge", writer)

    async def one_after_the_other() -> list[int]:
        return [await batcher.submit(item) for item in range(200)]

    async with asyncio.timeout(5):
        results = await asyncio.gather(one_after_the_other(), one_after_the_other(), one_after_the_other())
    assert all(result == [item * 2 for item in range(200)] for result in results)


async def test_batches_are_capped_and_as_many_in_flight_as_allowed() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("capped", writer, size_max=10, in_flight_max=2)
    tasks = await begin(batcher, range(35))
    await eventually(lambda: len(writer.batches) == 2, "two batches in flight")
    writer.gate.set()
    assert await outcomes(tasks) == [item * 2 for item in range(35)]
    assert [len(batch) for batch in writer.batches] == [10, 10, 10, 5]


async def test_a_further_batch_begins_once_it_is_as_large_as_those_under_way() -> None:
    """Many small batches side by side would cost more than they win: each pays for its own round trips."""
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("even", writer, in_flight_max=2)
    tasks = await begin(batcher, range(8))
    await eventually(lambda: len(writer.batches) == 1, "the first batch in flight")
    tasks += await begin(batcher, range(8, 15))
    assert len(writer.batches) == 1
    tasks += await begin(batcher, range(15, 16))
    await eventually(lambda: len(writer.batches) == 2, "as many wait as are being written")
    tasks += await begin(batcher, range(16, 18))
    writer.gate.set()
    assert await outcomes(tasks) == [item * 2 for item in range(18)]
    assert [len(batch) for batch in writer.batches] == [8, 8, 2]


async def test_a_caller_is_told_when_its_time_is_up_and_the_others_get_their_answers() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("late", writer)
    patient = asyncio.create_task(batcher.submit(1))
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(2, seconds_max=0.01)
    writer.gate.set()
    assert await patient == 2
    assert await batcher.submit(3, seconds_max=5.0) == 6


async def test_callers_are_told_at_their_own_times_in_whichever_order_they_came() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("times", writer, size_max=2)
    told: list[float] = []

    async def ask(seconds: float) -> None:
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(0, seconds_max=seconds)
        told.append(seconds)

    patient = asyncio.create_task(batcher.submit(1, seconds_max=60.0))
    # Two are being written, the others wait their turn.
    await asyncio.gather(*(ask(seconds) for seconds in (0.09, 0.01, 0.05, 0.03, 0.07)))
    assert told == [0.01, 0.03, 0.05, 0.07, 0.09]
    writer.gate.set()
    assert await patient == 2


async def test_one_batch_is_in_flight_by_default() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("single", writer, size_max=1)
    tasks = await begin(batcher, range(5))
    await writer.begun.wait()
    assert writer.batches == [[0]]
    writer.gate.set()
    await outcomes(tasks)


async def test_an_answer_that_is_an_exception_reaches_its_own_caller_only() -> None:
    async def write(items: list[int]) -> list[int | Exception]:
        return [QuoteExpired() if item == 2 else item for item in items]

    results = await outcomes(await begin(Batcher("answers", write), [1, 2, 3]))
    assert results[0::2] == [1, 3]
    assert isinstance(results[1], QuoteExpired)


async def test_a_failed_batch_is_written_item_by_item_so_that_one_harms_no_other() -> None:
    batches: list[list[int]] = []

    async def write(items: list[int]) -> list[int | Exception]:
        batches.append(items)
        if 2 in items:
            raise InvalidRequest("two")
        return list(items)

    results = await outcomes(await begin(Batcher("singly", write), [1, 2, 3]))
    assert results[0::2] == [1, 3]
    assert isinstance(results[1], InvalidRequest)
    assert batches == [[1, 2, 3], [1], [2], [3]]


def failing_first(
    error: Exception, batches: list[list[int]]
) -> Callable[[list[int]], Awaitable[list[int | Exception]]]:
    async def write(items: list[int]) -> list[int | Exception]:
        batches.append(items)
        if len(batches) == 1:
            raise error
        return list(items)

    return write


async def test_items_are_not_retried_against_a_database_that_is_away() -> None:
    batches: list[list[int]] = []
    results = await outcomes(await begin(Batcher("away", failing_first(Unavailable(), batches)), [1, 2, 3]))
    assert all(isinstance(result, Unavailable) for result in results)
    assert len({id(result) for result in results}) == 3, "each caller raises an exception of its own"
    assert batches == [[1, 2, 3]]


async def test_items_of_a_batch_that_lost_to_others_are_tried_alone() -> None:
    batches: list[list[int]] = []
    results = await outcomes(await begin(Batcher("contended", failing_first(Contended(), batches)), [1, 2]))
    assert results == [1, 2]
    assert batches == [[1, 2], [1], [2]]


async def test_a_database_lost_while_writing_alone_fails_the_rest_at_once() -> None:
    batches: list[list[int]] = []

    async def write(items: list[int]) -> list[int | Exception]:
        batches.append(items)
        if len(items) > 1:
            raise ValueError("bad batch")
        if items == [2]:
            raise Unavailable
        return list(items)

    results = await outcomes(await begin(Batcher("lost", write), [1, 2, 3, 4]))
    assert results[0] == 1
    assert all(isinstance(result, Unavailable) for result in results[1:])
    assert batches == [[1, 2, 3, 4], [1], [2]]


async def test_too_few_answers_are_an_error_for_all_and_nothing_is_written_twice() -> None:
    batches: list[list[int]] = []

    async def write(items: list[int]) -> list[int | Exception]:
        batches.append(items)
        return [1]

    results = await outcomes(await begin(Batcher("short", write), [1, 2]))
    assert all(isinstance(result, Internal) for result in results)
    assert len(batches) == 1


async def test_a_full_queue_refuses_at_once_and_serves_what_it_took() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("full", writer, queue_max=2)
    tasks = await begin(batcher, [1])
    await writer.begun.wait()
    tasks += await begin(batcher, [2, 3])
    with pytest.raises(Overloaded):
        await batcher.submit(4)
    writer.gate.set()
    assert await outcomes(tasks) == [2, 4, 6]


async def test_a_caller_cancelled_while_waiting_is_skipped_and_one_being_written_is_not() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("cancelled", writer)
    being_written = await begin(batcher, [1])
    await writer.begun.wait()
    waiting = await begin(batcher, [2, 3])
    being_written[0].cancel()
    waiting[0].cancel()
    writer.gate.set()
    results = await outcomes([*being_written, *waiting])
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], asyncio.CancelledError)
    assert results[2] == 6
    assert writer.batches == [[1], [3]]


async def test_drain_refuses_newcomers_and_returns_when_all_are_answered() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("drained", writer, size_max=1)
    tasks = await begin(batcher, [1, 2])
    draining = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await batcher.submit(3)
    assert not draining.done()
    writer.gate.set()
    await draining
    assert [task.result() for task in tasks] == [2, 4]


async def test_a_writer_cancelled_at_the_end_of_the_process_leaves_nobody_waiting() -> None:
    writer = Writer()
    writer.gate.clear()
    batcher = Batcher[int, int]("killed", writer, size_max=1)
    tasks = await begin(batcher, [1, 2])
    await writer.begun.wait()
    [task] = batcher._writers
    task.cancel()
    assert all(isinstance(result, Unavailable) for result in await outcomes(tasks))


async def test_the_first_caller_does_not_lend_its_context_to_the_batch() -> None:
    request = contextvars.ContextVar("request", default="none")
    seen: list[str] = []

    async def write(items: list[int]) -> list[int | Exception]:
        seen.append(request.get())
        return list(items)

    batcher = Batcher("context", write)
    request.set("req_1")
    await batcher.submit(1)
    assert seen == ["none"]
