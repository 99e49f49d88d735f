"""Ledger events applied a second by one process, beside the row floor: `python -m tests.bench.ledger_apply [EVENTS]`.

Applied is the whole of it: decoding, six legs, holds consumed, hashes, chains, balances, indexes and triggers. The
floor inserts the very rows that this wrote (same columns and values, a primary key and nothing else) through asyncpg's
`unnest`, as many a commit. Both take turns on one connection each, so a busy machine is busy for both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import uvloop

from ledger.api.decode import decoder
from ledger.api.event_handler import EventHandler
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from ledger.app.place_holds import PlaceHolds
from poolctl.stack.databases import admin_url, create_database, ensure_roles, migrator_url
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.inbox import ReceivedEvent
from poolkit.migrations import upgrade
from tests.integration.ledger.books import hold_request, new_trade
from tests.integration.ledger.events import payin, trade_event

BATCH = 500
"""Events a transaction, as many as the consumer takes from a poll."""
ROUNDS = 5
ORGANIZATIONS = 50
MIGRATIONS = Path(__file__).parents[2] / "services" / "ledger" / "migrations" / "versions"

_TABLES = ("inbox", "transactions", "entries")
_KEYS = {"inbox": "event_id", "transactions": "number", "entries": "transaction_number, leg"}
_COLUMNS = """
SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum
"""


async def measure(
    server: Postgres | str, say: Callable[[str], None] = print, *, events: int = 20_000
) -> dict[str, Any]:
    """Figures of both. `server` is one to make a database on, or the URL of a migrated, empty ledger's superuser."""
    url = server if isinstance(server, str) else await _fresh_database(server)
    database = Database(url, application_name="ledger_apply", pool_size=1)
    bare = await asyncpg.connect(url, server_settings={"jit": "off"})
    try:
        stand = _Stand(database, bare)
        await stand.prepare()
        per_round = max(BATCH, events // ROUNDS // BATCH * BATCH)
        await stand.round(BATCH)
        rounds = []
        for number in range(1, ROUNDS + 1):
            rounds.append(last := await stand.round(per_round))
            say(f"ledger, round {number} of {ROUNDS}: {last['applied']:.0f} events/s, floor {last['floor']:.0f}")
        holds = {str(size): await stand.hold_cpu_us(size) for size in (1, 64, 256)}
    finally:
        await bare.close()
        await database.close()
    median = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    return {
        "events_per_second": median["applied"],
        "floor_events_per_second": median["floor"],
        "ratio": statistics.median(each["applied"] / each["floor"] for each in rounds),
        "python_cpu_us_per_event": median["python_us"],
        "postgres_cpu_us_per_event": median["postgres_us"],
        "hold_cpu_us": holds,
        "rounds": rounds,
    }


class _Stand:
    """A ledger with partners and open holds, and the bare tables beside it."""

    def __init__(self, database: Database, bare: asyncpg.Connection[asyncpg.Record]) -> None:
        self._database = database
        self._bare = bare
        directory = AccountDirectory(database)
        decode = decoder("test")
        self._place = PlaceHolds(database, directory)
        self._handle = EventHandler(database, ApplyEvents(database, directory, decode), decode)
        self._organizations = [new_id("org") for _ in range(ORGANIZATIONS)]
        self._inserts: dict[str, str] = {}

    async def prepare(self) -> None:
        """Money for everyone, and bare tables of the same shape."""
        await self._handle([payin(organization, "1000000000.00") for organization in self._organizations])
        for table in _TABLES:
            columns = await self._bare.fetch(_COLUMNS, table)
            await self._bare.execute(f"DROP TABLE IF EXISTS floor_{table}")
            await self._bare.execute(f"CREATE TABLE floor_{table} (LIKE {table}, PRIMARY KEY ({_KEYS[table]}))")
            arrays = ", ".join(f"${place}::{column['type']}[]" for place, column in enumerate(columns, 1))
            self._inserts[table] = f"INSERT INTO floor_{table} SELECT * FROM unnest({arrays})"

    async def round(self, count: int) -> dict[str, float]:
        """Applies so many settled buys, then inserts what that wrote once more, bare."""
        events = await self._held(count)
        backend = psutil.Process(await self._database.fetch_value("SELECT pg_backend_pid()"))
        postgres, python, begun = _cpu(backend), time.process_time(), time.perf_counter()
        for start in range(0, count, BATCH):
            await self._handle(events[start : start + BATCH])
        applied = time.perf_counter() - begun
        python, postgres = time.process_time() - python, _cpu(backend) - postgres
        floor = 0.0
        for start in range(0, count, BATCH):
            rows = await self._written([event.event_id for event in events[start : start + BATCH]])
            begun = time.perf_counter()
            await self._insert(rows)
            floor += time.perf_counter() - begun
        return {
            "applied": count / applied,
            "floor": count / floor,
            "python_us": python / count * 1e6,
            "postgres_us": postgres / count * 1e6,
        }

    async def hold_cpu_us(self, size: int, count: int = 2_048) -> dict[str, float]:
        """What a hold costs in batches of `size`, in this process and in PostgreSQL."""
        requests = [hold_request(self._organizations[n % ORGANIZATIONS], new_trade()) for n in range(count)]
        backend = psutil.Process(await self._database.fetch_value("SELECT pg_backend_pid()"))
        postgres, python = _cpu(backend), time.process_time()
        for start in range(0, count, size):
            await self._place(requests[start : start + size])
        return {
            "python": (time.process_time() - python) / count * 1e6,
            "postgres": (_cpu(backend) - postgres) / count * 1e6,
        }

    async def _held(self, count: int) -> list[ReceivedEvent]:
        trades = [(self._organizations[number % ORGANIZATIONS], new_trade()) for number in range(count)]
        for start in range(0, count, 256):
            await self._place([hold_request(*trade) for trade in trades[start : start + 256]])
        return [trade_event(*trade) for trade in trades]

    async def _written(self, event_ids: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
        """The columns of the rows that these events wrote."""
        numbers = (
            "SELECT number FROM transactions WHERE number IN (SELECT sequence FROM inbox WHERE event_id = ANY ($1))"
        )
        queries = {
            "inbox": "SELECT * FROM inbox WHERE event_id = ANY ($1) ORDER BY sequence",
            "transactions": f"SELECT * FROM transactions WHERE number IN ({numbers}) ORDER BY number",
            "entries": f"SELECT * FROM entries WHERE transaction_number IN ({numbers}) ORDER BY 1, 2",
        }
        return {
            table: list(zip(*[tuple(row) for row in await self._bare.fetch(query, event_ids)], strict=True))
            for table, query in queries.items()
        }

    async def _insert(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        async with self._bare.transaction():
            for table in _TABLES:
                await self._bare.execute(self._inserts[table], *rows[table])


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _fresh_database(server: Postgres) -> str:
    name = f"ledger_bench_{new_id('req')[-8:].lower()}"
    admin = await asyncpg.connect(server.url())
    try:
        await ensure_roles(server, admin)
        await create_database(admin, name, service="ledger")
    finally:
        await admin.close()
    await upgrade(migrator_url(server, "ledger", name), MIGRATIONS)
    return admin_url(server, name)


async def _main(events: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = Postgres(Path(directory), free_port())
        await server.start()
        try:
            figures = await measure(server, events=events)
        finally:
            await server.stop()
    print(
        f"applied {figures['events_per_second']:.0f} events/s, floor {figures['floor_events_per_second']:.0f}, "
        f"ratio {figures['ratio']:.2f}; CPU an event: python {figures['python_cpu_us_per_event']:.0f} µs, "
        f"postgres {figures['postgres_cpu_us_per_event']:.0f} µs"
    )
    for size, cost in figures["hold_cpu_us"].items():
        print(f"hold in batches of {size}: python {cost['python']:.0f} µs, postgres {cost['postgres']:.0f} µs")


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
