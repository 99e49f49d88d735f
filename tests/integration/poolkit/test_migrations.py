"""Migrations run once, in turn, whole or not at all, and never make everyone wait behind them."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from poolkit.errors import Unavailable
from poolkit.migrations import migrate, schema_version, upgrade
from tests.integration.databases import RunningPostgres
from tests.waiting import eventually

REVISION = '''"""A revision."""
from alembic import op
from poolkit.migrations import runtime_role

revision = {revision!r}
down_revision = {down_revision!r}


def upgrade() -> None:
    op.execute("""{sql}""".format(role=runtime_role()))
'''
FIRST = """
    CREATE TABLE things (id int PRIMARY KEY);
    CREATE FUNCTION one() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;
    GRANT SELECT ON things TO {role};
"""

PROGRAM = """
import sys
from pathlib import Path
from poolkit.migrations import migrate
migrate(sys.argv[1], Path(sys.argv[2]))
"""


def write(directory: Path, *texts: str) -> Path:
    """One revision for each text, each after the one before."""
    for number, sql in enumerate(texts, start=1):
        before = f"{number - 1:04}" if number > 1 else None
        revision = REVISION.format(revision=f"{number:04}", down_revision=before, sql=sql)
        (directory / f"{number:04}_step.py").write_text(revision)
    return directory


@pytest.fixture
async def url(postgres: RunningPostgres) -> str:
    """The migrator's address of an empty database."""
    return postgres.migrator_url(await postgres.empty_database("ledger"))


async def tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    await connection.close()
    return [row["tablename"] for row in rows]


async def test_a_new_database_gets_every_revision_and_a_migrated_one_nothing(url: str, tmp_path: Path) -> None:
    assert await schema_version(url) is None
    versions = write(tmp_path, FIRST, "CREATE TABLE more (id int)")
    await upgrade(url, versions)
    assert await schema_version(url) == "0002"
    await upgrade(url, versions)
    assert await tables(url) == ["alembic_version", "more", "things"]
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT has_table_privilege('ledger_runtime', 'things', 'SELECT')")
    assert not await connection.fetchval("SELECT has_table_privilege('ledger_runtime', 'more', 'SELECT')")
    await connection.close()


async def test_the_directory_above_the_revisions_will_do_and_so_will_a_plain_thread(url: str, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    write(tmp_path / "versions", FIRST)
    await asyncio.to_thread(migrate, url, tmp_path)
    assert await schema_version(url) == "0001"


async def test_replicas_that_start_together_take_turns(url: str, tmp_path: Path) -> None:
    versions = write(tmp_path, "SELECT pg_sleep(0.3); CREATE TABLE things (id int)")
    command = [sys.executable, "-c", PROGRAM, url, str(versions)]
    replicas = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
    assert await asyncio.gather(*(replica.wait() for replica in replicas)) == [0, 0, 0]
    assert await schema_version(url) == "0001"


async def test_a_revision_that_fails_leaves_nothing_and_what_came_before_stays(url: str, tmp_path: Path) -> None:
    # A script that goes through, then a statement that does not: both belong to one transaction.
    halfway = 'CREATE TABLE half (id int); SELECT 1""")\n    op.execute("""SELECT 1 / 0'
    versions = write(tmp_path, FIRST, halfway)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await upgrade(url, versions)
    assert await schema_version(url) == "0001"
    assert await tables(url) == ["alembic_version", "things"]


async def test_a_lock_held_by_others_is_asked_for_again_and_never_waited_for_long(url: str, tmp_path: Path) -> None:
    await upgrade(url, write(tmp_path, FIRST))
    versions = write(tmp_path, FIRST, "ALTER TABLE things ADD COLUMN name text; CREATE TABLE more (id int)")
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE things IN ACCESS SHARE MODE")
    migration = asyncio.create_task(upgrade(url, versions, lock_timeout_ms=100))
    asks = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'things'::regclass"
    asks_no_more = "SELECT count(*) = 0 FROM pg_locks WHERE NOT granted AND relation = 'things'::regclass"
    await eventually(lambda: connection.fetchval(asks), "it asks for its lock", every_seconds=0.005)
    await eventually(lambda: connection.fetchval(asks_no_more), "it gives up waiting", every_seconds=0.005)
    await transaction.rollback()
    await migration
    await connection.close()
    assert await schema_version(url) == "0002"
    assert await tables(url) == ["alembic_version", "more", "things"]


async def test_a_database_out_of_reach_is_unavailable(tmp_path: Path) -> None:
    url = "postgresql://ledger_migrator:secret@127.0.0.1:1/nothing"
    with pytest.raises(Unavailable):
        await upgrade(url, write(tmp_path, FIRST))
    with pytest.raises(Unavailable):
        await schema_version(url)


async def test_the_runtime_role_must_be_named_where_the_user_does_not_tell_it(
    postgres: RunningPostgres, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="runtime role"):
        await upgrade(postgres.url, write(tmp_path, FIRST))
