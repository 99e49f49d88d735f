"""What a service relies on when it talks to PostgreSQL: transactions, failures, cancellation, the pool."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from poolkit.database import Contended, Database
from poolkit.errors import Unavailable
from tests.waiting import eventually

INSERT = "INSERT INTO effects (event_id, key, traceparent) VALUES ($1, 'org', '')"
COUNT = "SELECT count(*) FROM effects"
# Of this database alone, for others share the server.
OURS = "FROM pg_stat_activity WHERE application_name = 'tested' AND datname = current_database()"
END_OTHERS = f"SELECT pg_terminate_backend(pid) {OURS}"
STATES = f"SELECT state {OURS}"


async def test_a_single_statement_is_a_transaction_and_keeps_every_type_exact(database: Database) -> None:
    values: list[Any] = [Decimal("12345678901234567.000001"), datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), b"\0"]
    row = await database.fetch_row("SELECT $1::numeric, $2::timestamptz, $3::date, $4::bytea", *values)
    assert row is not None
    assert list(row) == values
    assert await database.execute(INSERT, "one") == "INSERT 0 1"
    rows = await database.fetch(
        "INSERT INTO effects (event_id, key, traceparent) SELECT *, '', '' FROM unnest($1::text[]) RETURNING event_id",
        ["two", "three"],
    )
    assert [row["event_id"] for row in rows] == ["two", "three"]
    assert await database.fetch_value(COUNT) == 3
    assert await database.fetch_row("SELECT 1 WHERE false") is None
    assert await database.fetch_value("SELECT 1 WHERE false") is None


async def test_a_unit_rolls_back_unless_told_to_commit(database: Database) -> None:
    async with database.transaction() as unit:
        await unit.execute(INSERT, "left")
        assert await unit.fetch_value(COUNT) == 1

    async def fail() -> None:
        async with database.transaction() as unit:
            await unit.execute(INSERT, "raised")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await database.fetch_value(COUNT) == 0
    async with database.transaction() as unit:
        await unit.execute(INSERT, "kept")
        await unit.commit()
    assert await database.fetch_value(COUNT) == 1


async def test_commit_after_a_failed_statement_is_an_error_and_never_a_silent_rollback(database: Database) -> None:
    async with database.transaction() as unit:
        await unit.execute(INSERT, "same")
        with pytest.raises(asyncpg.UniqueViolationError):
            await unit.execute(INSERT, "same")
        with pytest.raises(RuntimeError, match="rolled back"):
            await unit.commit()
    assert await database.fetch_value(COUNT) == 0


async def test_core_queries_share_the_transaction(database: Database) -> None:
    async with database.transaction() as unit:
        await unit.execute(INSERT, "mine")
        found = await unit.connection.execute(text("SELECT event_id FROM effects WHERE key = :key"), {"key": "org"})
        assert found.scalars().all() == ["mine"]
        await unit.connection.execute(text("INSERT INTO effects VALUES ('core', 'org', '')"))
    assert await database.fetch_value(COUNT) == 0


async def test_a_lost_connection_is_unavailable_and_the_next_call_opens_another(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.transaction() as unit:
        await admin.fetch(END_OTHERS)
        with pytest.raises(Unavailable):
            await unit.execute(INSERT, "lost")
    assert await database.fetch_value("SELECT true")

    async def ask_by_core() -> None:
        async with database.transaction() as unit:
            await admin.fetch(END_OTHERS)
            await unit.connection.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        await ask_by_core()


async def test_a_connection_that_died_while_idle_is_never_given_out(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    assert await database.is_ready()
    [idle] = database._pool._idle
    await admin.fetch(END_OTHERS)
    await eventually(idle.driver.is_closed, "its end was heard")
    assert await database.fetch_value("SELECT true")


async def test_a_connection_handed_to_someone_who_gives_up_in_that_moment_goes_to_the_next(database_url: str) -> None:
    database = Database(database_url, application_name="small", pool_size=1, wait_seconds_max=2.0)
    slot = await database._pool.take()
    waiting = [asyncio.create_task(database.fetch_value("SELECT 1")) for _ in range(2)]
    await asyncio.sleep(0)
    database._pool.give_back(slot)
    waiting[0].cancel()
    assert await waiting[1] == 1
    assert waiting[0].cancelled()
    assert await database.fetch_value("SELECT 2") == 2
    await database.close()


async def test_losing_to_others_is_contended_and_nothing_has_happened(database: Database) -> None:
    async def cross(first: str, second: str, barrier: asyncio.Barrier) -> None:
        async with database.transaction() as unit:
            await unit.execute("SELECT pg_advisory_xact_lock(hashtext($1))", first)
            await barrier.wait()
            await unit.execute("SELECT pg_advisory_xact_lock(hashtext($1))", second)
            await unit.commit()

    barrier = asyncio.Barrier(2)
    outcomes = await asyncio.gather(cross("a", "b", barrier), cross("b", "a", barrier), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [Contended]
    assert outcomes.count(None) == 1


async def test_a_statement_that_takes_too_long_is_contended(database_url: str) -> None:
    database = Database(database_url, application_name="hasty", statement_timeout_ms=50)
    with pytest.raises(Contended):
        await database.fetch("SELECT pg_sleep(5)")
    assert await database.is_ready()
    await database.close()


async def test_a_mistake_of_ours_is_not_called_unavailable(database: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError):
        await database.fetch("SELECT $1::int", 1, 2)
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch("SELECT * FROM nowhere")
    assert await database.is_ready()


async def test_a_cancelled_statement_leaves_a_usable_connection(database: Database) -> None:
    task = asyncio.create_task(database.fetch("SELECT pg_sleep(30)"))
    await eventually(lambda: _is_running(database, "pg_sleep"), "the statement runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [await database.fetch_value("SELECT $1::int", number) for number in range(20)] == list(range(20))


async def test_a_cancelled_unit_is_rolled_back_and_gives_its_connection_back(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def work() -> None:
        async with database.transaction() as unit:
            await unit.execute(INSERT, "cancelled")
            await unit.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(work())
    await eventually(lambda: _is_running(database, "pg_sleep"), "the statement runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.fetch_value(COUNT) == 0

    async def none_in_transaction() -> bool:
        return all(row["state"] != "idle in transaction" for row in await admin.fetch(STATES))

    await eventually(none_in_transaction, "no connection is left inside a transaction")


async def test_the_pool_is_bounded_first_come_first_served_and_its_wait_is_bounded_too(database_url: str) -> None:
    database = Database(database_url, application_name="small", pool_size=1, wait_seconds_max=0.2)
    order: list[int] = []

    async def use(number: int) -> None:
        async with database.transaction() as unit:
            await unit.fetch("SELECT 1")
            order.append(number)

    async with database.transaction():
        waiting = [asyncio.create_task(use(number)) for number in range(5)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [0, 2, 3, 4]
    async with database.transaction():
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")
    assert await database.fetch_value("SELECT 1") == 1
    await database.close()


async def test_a_database_that_is_not_there_is_unavailable_and_not_ready() -> None:
    database = Database("postgresql://nobody:secret@127.0.0.1:1/nothing", application_name="lost")
    with pytest.raises(Unavailable) as raised:
        await database.connect()
    assert "secret" not in str(raised.value)
    assert not await database.is_ready()
    await database.close()


async def test_a_plan_kept_from_when_a_table_was_young_goes_by_index(database: Database) -> None:
    look_up = "SELECT key FROM effects JOIN unnest($1) AS asked (event_id) USING (event_id)"

    async def plan(*, report: bool) -> str:
        async with database.transaction() as unit:
            if report:
                await unit.plan_for_report()
            await unit.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            await unit.execute(f"PREPARE look_up (text[]) AS {look_up}")
            rows = await unit.fetch("EXPLAIN EXECUTE look_up ('{a,b}')")
            await unit.execute("DEALLOCATE look_up")
        return "\n".join(row[0] for row in rows)

    by_index = await plan(report=False)
    assert "Index" in by_index
    assert "Seq Scan on effects" not in by_index
    assert "Seq Scan on effects" in await plan(report=True), "this is what it would be otherwise"


async def test_a_closed_database_refuses_and_keeps_no_connection(
    database_url: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    database = Database(database_url, application_name="closing")
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.01)") for _ in range(4)))
    await database.close()
    with pytest.raises(Unavailable):
        await database.fetch("SELECT 1")
    gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'closing'"
    await eventually(lambda: admin.fetchval(gone), "every connection closed")


async def test_notifications_are_heard_and_a_lost_connection_says_that_some_may_be_missing(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    heard: list[str] = []
    listener = await database.listen("news", heard.append)
    await listener.wait_connected()
    assert heard == [""]
    await database.execute("SELECT pg_notify('news', 'first')")
    await eventually(lambda: heard == ["", "first"], "the first is heard")
    await admin.fetch(END_OTHERS)
    await eventually(lambda: heard == ["", "first", ""], "told to look again")
    await eventually(database.is_ready, "the pool recovered")
    await database.execute("SELECT pg_notify('news', 'second')")
    await eventually(lambda: heard[-1] == "second", "heard on the new connection")
    listener.remove("news", heard.append)


async def _is_running(database: Database, words: str) -> bool:
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()"
    )
    return bool(await database.fetch_value(running, f"%{words}%"))
