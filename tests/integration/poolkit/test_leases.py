"""Of several replicas one runs the loop, and the others only once it certainly no longer does."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from poolkit.database import Database
from poolkit.leases import Lease
from tests.waiting import eventually

TTL_SECONDS = 1.0


class Loop:
    """A loop that records when it runs, and fails the test when it runs beside another."""

    running = 0

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    async def __call__(self) -> None:
        assert Loop.running == 0, "two loops run at once"
        Loop.running += 1
        self.log.append(f"{self.name} begins")
        try:
            await asyncio.Event().wait()
        finally:
            Loop.running -= 1
            self.log.append(f"{self.name} ends")


@pytest.fixture
async def tasks() -> "AsyncIterator[list[asyncio.Task[None]]]":
    started: list[asyncio.Task[None]] = []
    yield started
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)


async def test_one_replica_runs_for_as_long_as_it_renews(database: Database, tasks: "list[asyncio.Task[None]]") -> None:
    log: list[str] = []
    first, second = (Lease(database, "relay", TTL_SECONDS) for _ in range(2))
    tasks.append(asyncio.create_task(first.run(Loop(log, "first"))))
    await eventually(lambda: log == ["first begins"], "the first holds it")
    tasks.append(asyncio.create_task(second.run(Loop(log, "second"))))
    before = await database.fetch_value("SELECT expires_at FROM leases WHERE name = 'relay'")
    await eventually(lambda: _later(database, before), "the lease was renewed past twice its time")
    assert log == ["first begins"]
    assert first.is_held
    assert not second.is_held


async def test_a_released_lease_is_taken_up_without_waiting_for_its_end(
    database: Database, tasks: "list[asyncio.Task[None]]"
) -> None:
    log: list[str] = []
    first, second = (Lease(database, "relay", 60.0) for _ in range(2))
    second._ttl_seconds = 5.0  # it asks every second
    tasks.append(asyncio.create_task(first.run(Loop(log, "first"))))
    await eventually(lambda: log == ["first begins"], "the first holds it")
    tasks.append(asyncio.create_task(second.run(Loop(log, "second"))))
    tasks[0].cancel()
    await eventually(lambda: log == ["first begins", "first ends", "second begins"], "the second follows")
    assert second.fencing == first.fencing + 1


async def test_a_lease_taken_away_ends_the_loop_and_is_tried_for_again(
    database: Database, tasks: "list[asyncio.Task[None]]"
) -> None:
    log: list[str] = []
    lease = Lease(database, "relay", TTL_SECONDS)
    tasks.append(asyncio.create_task(lease.run(Loop(log, "ours"))))
    await eventually(lambda: log == ["ours begins"], "held")
    await database.execute(
        "UPDATE leases SET holder = 'other', fencing = fencing + 1,"
        " expires_at = clock_timestamp() + interval '0.3 seconds'"
    )
    await eventually(lambda: log == ["ours begins", "ours ends", "ours begins"], "ended, and begun again")
    assert lease.fencing == 3


async def test_a_holder_that_dies_without_a_word_is_followed_when_its_time_is_up(
    database: Database, tasks: "list[asyncio.Task[None]]"
) -> None:
    await database.execute("INSERT INTO leases VALUES ('relay', 'dead', 7, clock_timestamp() + interval '0.5 seconds')")
    log: list[str] = []
    lease = Lease(database, "relay", TTL_SECONDS)
    tasks.append(asyncio.create_task(lease.run(Loop(log, "heir"))))
    await eventually(lambda: log == ["heir begins"], "taken over")
    assert lease.fencing == 8
    assert await database.fetch_value("SELECT expires_at > clock_timestamp() FROM leases")


async def test_a_holder_that_cannot_renew_stops_before_anyone_else_may_begin(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]", tasks: "list[asyncio.Task[None]]"
) -> None:
    log: list[str] = []
    lease = Lease(database, "relay", 4.0)
    tasks.append(asyncio.create_task(lease.run(Loop(log, "ours"))))
    await eventually(lambda: log == ["ours begins"], "held")
    # A renewal that hangs is as bad as one that fails.
    async with admin.transaction():
        await admin.execute("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE")
        await eventually(lambda: log == ["ours begins", "ours ends"], "stopped", every_seconds=0.005)
        assert await admin.fetchval("SELECT expires_at > clock_timestamp() FROM leases"), "it stopped too late"


async def test_what_the_loop_returns_or_raises_ends_the_run_and_releases(database: Database) -> None:
    lease = Lease(database, "once", TTL_SECONDS)

    async def done() -> None:
        return

    async def broken() -> None:
        raise LookupError

    async def cancelled_from_within() -> None:
        raise asyncio.CancelledError

    await lease.run(done)
    with pytest.raises(LookupError):
        await lease.run(broken)
    # A library's own cancellation must not pass for ours, or the loop would never be begun again.
    with pytest.raises(RuntimeError, match="from within"):
        await lease.run(cancelled_from_within)
    assert await database.fetch_value("SELECT expires_at = '-infinity' FROM leases WHERE name = 'once'")
    assert lease.fencing == 3


async def _later(database: Database, before: object) -> bool:
    renewed = "SELECT expires_at > $1::timestamptz + make_interval(secs => $2) FROM leases WHERE name = 'relay'"
    return bool(await database.fetch_value(renewed, before, 2 * TTL_SECONDS))
