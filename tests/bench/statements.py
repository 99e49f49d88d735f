"""What a statement costs through the driver and through SQLAlchemy Core: `python -m tests.bench.statements URL`.

The figures of ADR 2. The URL is any PostgreSQL's, of a role that may make the table `bench_statements`.
"""

import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count

import uvloop
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from poolkit.connection_pool import plain_url
from poolkit.database import Database

ROUNDS = 5
BATCH = 64

TABLE = Table("bench_statements", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text))
ONE = select(TABLE).where(TABLE.c.id == 5)
ONE_SQL = "SELECT id, name FROM bench_statements WHERE id = $1"
UNNEST_SQL = "INSERT INTO bench_statements SELECT * FROM unnest($1::int[], $2::text[]) RETURNING id"
UNNEST = text("INSERT INTO bench_statements SELECT * FROM unnest(:ids, :names) RETURNING id").bindparams(
    bindparam("ids", type_=ARRAY(Integer)), bindparam("names", type_=ARRAY(Text))
)

Call = Callable[[], Awaitable[None]]


def calls(database: Database, engine: AsyncEngine) -> dict[str, Call]:
    """Each way of doing each thing, by name."""
    numbers = count(10_000)

    def batch() -> list[int]:
        return [next(numbers) for _ in range(BATCH)]

    async def driver_one() -> None:
        await database.fetch(ONE_SQL, 5)

    async def core_autocommit_one() -> None:
        async with engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            (await autocommit.execute(ONE)).all()

    async def core_begin_one() -> None:
        async with engine.begin() as connection:
            (await connection.execute(ONE)).all()

    async def driver_two() -> None:
        async with database.transaction() as unit:
            await unit.fetch(ONE_SQL, 5)
            await unit.fetch(ONE_SQL, 6)
            await unit.commit()

    async def core_two() -> None:
        async with engine.begin() as connection:
            (await connection.execute(ONE)).all()
            (await connection.execute(ONE)).all()

    async def driver_batch() -> None:
        await database.fetch(UNNEST_SQL, batch(), ["x"] * BATCH)

    async def core_batch() -> None:
        async with engine.begin() as connection:
            (await connection.execute(UNNEST, {"ids": batch(), "names": ["x"] * BATCH})).all()

    async def core_insert() -> None:
        rows = [{"id": number, "name": "x"} for number in batch()]
        async with engine.begin() as connection:
            (await connection.execute(insert(TABLE).returning(TABLE.c.id), rows)).all()

    return {
        "one row: driver": driver_one,
        "one row: Core, AUTOCOMMIT": core_autocommit_one,
        "one row: Core, begin()": core_begin_one,
        "two reads, one transaction: driver": driver_two,
        "two reads, one transaction: Core": core_two,
        f"{BATCH} rows, unnest: driver": driver_batch,
        f"{BATCH} rows, unnest: Core": core_batch,
        f"{BATCH} rows, insertmanyvalues: Core": core_insert,
    }


async def measure(call: Call, repeats: int = 200) -> tuple[float, float]:
    """CPU and time for each call, in microseconds."""
    for _ in range(20):
        await call()
    cpu, clock = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        await call()
    return (time.process_time() - cpu) / repeats * 1e6, (time.perf_counter() - clock) / repeats * 1e6


async def main(url: str) -> None:
    database = Database(url, application_name="bench", pool_size=2)
    engine = create_async_engine(plain_url(url).replace("postgresql://", "postgresql+asyncpg://", 1))
    await database.execute("CREATE TABLE bench_statements (id int PRIMARY KEY, name text)")
    try:
        await database.execute(
            "INSERT INTO bench_statements SELECT number, 'x' FROM generate_series(1, 1000) AS number"
        )
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for name, call in calls(database, engine).items():
                found.setdefault(name, []).append(await measure(call))
                await database.execute("DELETE FROM bench_statements WHERE id >= 10000")
    finally:
        await database.execute("DROP TABLE bench_statements")
        await database.close()
        await engine.dispose()
    for name, runs in found.items():
        cpu, clock = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:40} {cpu:7.0f} µs CPU {clock:7.0f} µs")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
