"""Background loops come back after a crash, end when told to, and inherit nothing from whoever started them."""

import asyncio

from prometheus_client import REGISTRY

from poolkit.context import current_request_id
from poolkit.readiness import FAILURES_MAX, Readiness
from poolkit.rpc.health import Health
from poolkit.supervision import Loops
from poolkit.telemetry.tracing import current_trace_id, span


async def test_a_crashed_loop_is_begun_again() -> None:
    runs = asyncio.Queue[int]()
    count = 0

    async def loop() -> None:
        nonlocal count
        count += 1
        runs.put_nowait(count)
        if count < 3:
            raise RuntimeError("crash")
        await asyncio.Event().wait()

    def restarts() -> float | None:
        return REGISTRY.get_sample_value("service_loop_restarts_total", {"loop": "crashing"})

    loops = Loops()
    loops.add("crashing", loop)
    assert restarts() == 0, "there before anything happens, or an increase would not show the first"
    loops.start()
    async with asyncio.timeout(5):
        assert [await runs.get() for _ in range(3)] == [1, 2, 3]
    assert restarts() == 2
    await loops.stop(1)


async def test_a_cancellation_that_nobody_asked_of_the_loop_is_a_crash_like_any_other() -> None:
    runs = asyncio.Queue[int]()
    count = 0

    async def loop() -> None:
        nonlocal count
        count += 1
        runs.put_nowait(count)
        if count == 1:
            # What a library does whose own task was cancelled: the loop waits for it, and is told so.
            other = asyncio.ensure_future(asyncio.Event().wait())
            other.cancel()
            await other
        await asyncio.Event().wait()

    loops = Loops()
    loops.add("cancelled from within", loop)
    loops.start()
    async with asyncio.timeout(5):
        assert [await runs.get() for _ in range(2)] == [1, 2]
    async with asyncio.timeout(5):
        await loops.stop(1)
    assert runs.empty()


async def test_stopping_cancels_and_waits_for_the_end() -> None:
    begun, ended = asyncio.Event(), []

    async def loop() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    loops = Loops()
    loops.add("endless", loop)
    loops.start()
    await begun.wait()
    await loops.stop(1)
    assert ended == [True]


async def test_a_loop_inherits_neither_request_nor_trace() -> None:
    seen = asyncio.get_running_loop().create_future()

    async def loop() -> None:
        seen.set_result((current_request_id.get(), current_trace_id()))

    loops = Loops()
    loops.add("looking", loop)
    token = current_request_id.set("req_1")
    with span("start"):
        loops.start()
    current_request_id.reset(token)
    assert await asyncio.wait_for(seen, 5) == ("", "")
    await loops.stop(1)


async def test_readiness_waits_for_every_dependency_and_forgives_one_slow_moment() -> None:
    health = Health()
    readiness = Readiness(health)
    answers = {"database": False, "broker": True}

    async def database() -> bool:
        if not answers["database"]:
            raise OSError("out of reach")
        return True

    async def broker() -> bool:
        return answers["broker"]

    readiness.add("database", database)
    readiness.add("broker", broker)
    await readiness.look()
    assert not health.serving
    answers["database"] = True
    await readiness.look()
    assert health.serving
    answers["broker"] = False
    for expected in [True] * (FAILURES_MAX - 1) + [False]:
        await readiness.look()
        assert health.serving is expected
    answers["broker"] = True
    await readiness.look()
    assert health.serving
    await readiness.drain()
    await readiness.look()
    assert not health.serving
