"""A ledger of a million entries rebuilt from its events: `python -m tests.bench.rebuild [ENTRIES]`.

Filled as for `tests.bench.verify`; then the ledger's own command replays the events into an empty database beside it
and compares every transaction, entry, balance and chain head. What is shown is the time, and the CPU time and most
memory of the command, which must not grow with the books.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.outbound.signing_key import SigningKey
from poolctl.stack.databases import admin_url, create_database, ensure_roles, migrator_url, runtime_url
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from poolctl.stack.programs import MODE, base_environment
from poolkit.database import Database
from poolkit.migrations import upgrade
from tests.bench.cpu import cpu_seconds
from tests.bench.verify import MIGRATIONS, fill

LIVE, REBUILT = "ledger", "ledger_rebuilt"


async def books(server: Postgres, entries: int) -> None:
    """The live books, and an empty database."""
    admin = await asyncpg.connect(server.url())
    try:
        await ensure_roles(server, admin)
        for name in (LIVE, REBUILT):
            await create_database(admin, name, service="ledger")
    finally:
        await admin.close()
    await upgrade(migrator_url(server, "ledger", LIVE), MIGRATIONS)
    database = Database(admin_url(server, LIVE), application_name="rebuild", pool_size=1)
    await fill(database, entries, SigningKey(Ed25519PrivateKey.generate()))
    await database.close()


def rebuild(server: Postgres) -> dict[str, float]:
    """Runs the command; answers what it said and what it used."""
    [postmaster] = [child for child in psutil.Process().children() if "postgres" in child.name()]
    before = cpu_seconds({"postgres": postmaster.pid})["postgres"]
    environment = base_environment() | {
        "POOLS_MODE": MODE,
        "POOLS_DATABASE_URL": runtime_url(server, "ledger", LIVE),
        "POOLS_REBUILD_DATABASE_URL": runtime_url(server, "ledger", REBUILT),
        "POOLS_REBUILD_MIGRATOR_DATABASE_URL": migrator_url(server, "ledger", REBUILT),
    }
    with tempfile.TemporaryFile("w+") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "ledger", "rebuild"], env=environment, stdout=said, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        told = json.load(said)
    assert told["ok"], told["first"]
    return {
        **told["compared"],
        "seconds": round(told["seconds"], 1),
        "python_cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "postgres_cpu_seconds": round(cpu_seconds({"postgres": postmaster.pid})["postgres"] - before, 1),
        "python_rss_mb_max": round(used.ru_maxrss / 1024),
    }


async def main(entries: int) -> None:
    """On a server of its own, which goes again."""
    with tempfile.TemporaryDirectory() as directory:
        server = Postgres(Path(directory), free_port())
        await server.start()
        try:
            await books(server, entries)
            print("rebuilt", rebuild(server), flush=True)
        finally:
            await server.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
