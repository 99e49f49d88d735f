"""A ledger of a million entries verified and exported: `python -m tests.bench.verify [ENTRIES]`.

The entries are posted by the ledger's own code (held buys that settle, over many partners), then verified twice, on a
database whose statistics nobody has gathered and on one where they have been; and every partner's chain is read for
export.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from contextlib import aclosing
from datetime import date
from pathlib import Path

import asyncpg
import psutil
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.api.decode import decoder
from ledger.api.event_handler import EventHandler
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from ledger.app.place_holds import PlaceHolds
from ledger.app.sign_heads import sign_heads
from ledger.app.verify_ledger import Progress, Summary, VerifyLedger
from ledger.domain.findings import Finding
from ledger.domain.heads import Close
from ledger.outbound.signing_key import SigningKey, TrustedKeys
from ledger.store.exports import read_chain
from poolctl.stack.databases import admin_url, create_database, ensure_roles, migrator_url
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.migrations import upgrade
from tests.integration.ledger.books import hold_request, new_trade
from tests.integration.ledger.events import payin, trade_event

BATCH = 500
LEGS = 6
ORGANIZATIONS = 500
MIGRATIONS = Path(__file__).parents[2] / "services" / "ledger" / "migrations" / "versions"


async def fill(database: Database, entries: int, key: SigningKey) -> list[str]:
    """Posts so many entries and signs the heads; answers the organizations."""
    directory, decode = AccountDirectory(database), decoder("test")
    place = PlaceHolds(database, directory)
    handle = EventHandler(database, ApplyEvents(database, directory, decode), decode)
    organizations = [new_id("org") for _ in range(ORGANIZATIONS)]
    await handle([payin(organization, "1000000000.00") for organization in organizations])
    for start in range(0, entries // LEGS, BATCH):
        trades = [(organizations[number % ORGANIZATIONS], new_trade()) for number in range(start, start + BATCH)]
        await place([hold_request(organization, trade) for organization, trade in trades])
        await handle([trade_event(organization, trade) for organization, trade in trades])
    async with database.transaction() as unit:
        await sign_heads(unit, key, Close(new_id("close"), date(2026, 11, 22), 1), mode="test")
        await unit.commit()
    return organizations


async def verify(database: Database, key: SigningKey) -> dict[str, float]:
    """Verifies once; answers seconds, CPU seconds of both processes, and rows a second."""
    backend = psutil.Process(await database.fetch_value("SELECT pg_backend_pid()"))
    begun, python, postgres = time.perf_counter(), time.process_time(), sum(backend.cpu_times()[:2])
    phase, phases = begun, {}
    async with aclosing(VerifyLedger(database, TrustedKeys([key.public_key]), decoder("test"), mode="test")()) as steps:
        async for step in steps:
            if isinstance(step, Finding):
                raise AssertionError(step)
            if isinstance(step, Progress):
                phases[step.phase] = phases.get(step.phase, 0.0) + time.perf_counter() - phase
                phase = time.perf_counter()
            if isinstance(step, Summary):
                summary = step
    seconds = time.perf_counter() - begun
    return {
        "entries": summary.entries,
        "seconds": round(seconds, 1),
        "entries_per_second": round(summary.entries / seconds),
        "python_cpu_seconds": round(time.process_time() - python, 2),
        "postgres_cpu_seconds": round(sum(backend.cpu_times()[:2]) - postgres, 1),
        **{f"{name}_seconds": round(taken, 1) for name, taken in phases.items()},
        "python_rss_mb_max": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def export(database: Database, organizations: list[str]) -> dict[str, float]:
    """Reads every partner's chain as an export does; answers transactions, seconds and CPU seconds."""
    begun, python, count = time.perf_counter(), time.process_time(), 0
    for organization_id in organizations:
        after = 0
        while page := await read_chain(database, organization_id, after_sequence=after):
            after, count = page[-1].sequence, count + len(page)
    return {
        "transactions": count,
        "seconds": round(time.perf_counter() - begun, 1),
        "python_cpu_seconds": round(time.process_time() - python, 2),
    }


async def main(entries: int) -> None:
    """On a server of its own, which goes again."""
    key = SigningKey(Ed25519PrivateKey.generate())
    with tempfile.TemporaryDirectory() as directory:
        server = Postgres(Path(directory), free_port())
        await server.start()
        try:
            url = await _fresh_database(server)
            database = Database(url, application_name="verify", pool_size=1)
            begun = time.perf_counter()
            organizations = await fill(database, entries, key)
            print(f"filled in {time.perf_counter() - begun:.0f} s", flush=True)
            print("before ANALYZE", await verify(database, key), flush=True)
            await database.execute("ANALYZE")
            print("after ANALYZE ", await verify(database, key), flush=True)
            print("exported      ", await export(database, organizations), flush=True)
            await database.close()
        finally:
            await server.stop()


async def _fresh_database(server: Postgres) -> str:
    admin = await asyncpg.connect(server.url())
    try:
        await ensure_roles(server, admin)
        await create_database(admin, "ledger", service="ledger")
    finally:
        await admin.close()
    await upgrade(migrator_url(server, "ledger"), MIGRATIONS)
    return admin_url(server, "ledger")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
