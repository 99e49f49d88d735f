"""Owns bringing the databases of a stack's services to their newest schema, without starting each service for it.

What is current already costs one query a service. The rest is done by one process for all, which loads the migration
tool once; five services migrating themselves take five times as long. A service whose migrations do not lie beside its
package, as in an installed wheel, is asked to migrate itself.
"""

import asyncio
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from poolctl.stack.databases import migrator_url
from poolctl.stack.failure import StackError
from poolctl.stack.process import Process
from poolctl.stack.programs import Program, Wiring, base_environment

_SECONDS = 120.0
_WORK = "POOLCTL_MIGRATIONS"
_REVISION = re.compile(r"^revision\b[^=]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One database to bring to the newest revision in `versions`."""

    name: str
    url: str
    versions: str


def versions_beside(module: str) -> Path | None:
    """The revisions of a service that is installed editable: `services/<x>/migrations/versions`."""
    package = find_spec(module)
    if package is None or package.origin is None:
        return None
    source = Path(package.origin).parents[1]
    versions = source.parent / "migrations" / "versions"
    return versions if source.name == "src" and versions.is_dir() else None


async def migrate_together(wiring: Wiring, programs: Sequence[Program]) -> list[Program]:
    """Migrates what is not current; answers the programs that have to migrate themselves."""
    themselves, found = [], []
    for program in programs:
        versions = versions_beside(program.module)
        if program.database is None:
            continue
        if versions is None:
            themselves.append(program)
        else:
            found.append(Migration(program.name, migrator_url(wiring.postgres, program.database), str(versions)))
    current = await asyncio.gather(*(_is_current(migration) for migration in found))
    due = [migration for migration, is_current in zip(found, current, strict=True) if not is_current]
    if due:
        await _run_one_process(wiring, due)
    return themselves


async def _is_current(migration: Migration) -> bool:
    """Whether the database is at the last revision by file name, which is how revisions are numbered."""
    import asyncpg

    files = sorted(Path(migration.versions).glob("[0-9]*.py"))
    newest = _REVISION.search(files[-1].read_text()) if files else None
    if newest is None:
        return False
    connection = await asyncpg.connect(migration.url, timeout=10)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return False
        return bool(await connection.fetchval("SELECT version_num FROM alembic_version") == newest[1])
    finally:
        await connection.close()


async def _run_one_process(wiring: Wiring, due: Sequence[Migration]) -> None:
    process = Process("migrations", log=wiring.layout.log("migrations"), pid_file=wiring.layout.pid_file("migrations"))
    work = json.dumps([[migration.name, migration.url, migration.versions] for migration in due])
    process.start_python(["poolctl.stack.migrations"], environment={**base_environment(), _WORK: work})
    try:
        if not await process.wait(_SECONDS) or process.exit_code != 0:
            failed = _first_unfinished(process.tail(1_000), due)
            raise StackError(
                f"The database of {failed} could not be migrated.",
                advice="Nothing of a failed revision is kept; mend it and run the same command again.",
                log=process.log,
                tail=process.tail(),
            )
    finally:
        await process.kill()


def _first_unfinished(said: str, due: Sequence[Migration]) -> str:
    finished = said.splitlines()
    return next((migration.name for migration in due if f"{migration.name}: migrated" not in finished), "a service")


def _main() -> None:
    from poolkit.migrations import migrate

    for name, url, versions in json.loads(os.environ.pop(_WORK)):
        print(f"{name}: migrating", flush=True)
        migrate(url, Path(versions))
        print(f"{name}: migrated", flush=True)


if __name__ == "__main__":
    _main()
