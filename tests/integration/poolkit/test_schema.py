"""A service is ready only on a schema it works with, and says which one it found and which one it needs."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ledger.main import MIGRATIONS
from poolctl.stack.ports import free_port
from poolkit.migrations import schema_version, upgrade
from poolkit.runtime import Runtime
from poolkit.schema import read_revisions
from poolkit.settings import ServiceSettings
from tests.integration.databases import RunningPostgres
from tests.waiting import eventually

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

REVISION = '''"""A revision."""
from alembic import op

revision = "{number:04}"
down_revision = {before!r}
{oldest_service}

def upgrade() -> None:
    op.execute("CREATE TABLE step_{number} (id int)")
'''


def write(directory: Path, number: int, oldest_service: str = "") -> Path:
    """One more revision."""
    before = f"{number - 1:04}" if number > 1 else None
    told = f'oldest_service = "{oldest_service}"\n' if oldest_service else ""
    directory.mkdir(exist_ok=True)
    (directory / f"{number:04}_step.py").write_text(REVISION.format(number=number, before=before, oldest_service=told))
    return directory


class Starting:
    """A service that starts, as its health port shows it."""

    def __init__(self, url: str, versions: Path) -> None:
        self.health = f"127.0.0.1:{free_port()}"
        settings = ServiceSettings(mode="test", database_url=url, health_listen=self.health)
        self.runtime = Runtime("sample", settings, versions)
        self.built = False
        self.task = asyncio.create_task(self.runtime.start(self._build))

    async def _build(self, _: Runtime[ServiceSettings]) -> None:
        self.built = True

    async def state(self, name: str) -> int:
        async with grpc.aio.insecure_channel(self.health) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            return int((await check(health_pb2.HealthCheckRequest(service=name), wait_for_ready=True)).status)

    async def states(self) -> tuple[int, int, int]:
        """Alive, on a schema it works with, ready."""
        return await self.state("liveness"), await self.state("schema"), await self.state("")


@contextlib.asynccontextmanager
async def starting(url: str, versions: Path) -> AsyncIterator[Starting]:
    service = Starting(url, versions)
    try:
        yield service
    finally:
        service.task.cancel()
        await asyncio.wait({service.task})
        await service.runtime.stop()


@pytest.fixture
async def url(postgres: RunningPostgres) -> str:
    """The runtime role's address of a database without a schema."""
    return await postgres.empty_database("ledger")


async def test_a_schema_that_is_missing_or_older_is_waited_for_and_named(
    url: str, postgres: RunningPostgres, tmp_path: Path
) -> None:
    old, own = write(tmp_path / "old", 1), write(tmp_path / "own", 1)
    write(own, 2)
    with structlog.testing.capture_logs() as logs:
        async with starting(url, own) as service:
            await eventually(lambda: [line for line in logs if line["event"] == "schema_not_usable"], "it says so")
            assert await service.states() == (SERVING, NOT_SERVING, NOT_SERVING)
            await upgrade(postgres.migrator_url(url), old)
            await eventually(lambda: "at 0001, older" in str(logs), "it says which schema it found")
            assert not service.built
            await upgrade(postgres.migrator_url(url), own)
            await service.task
            assert await service.states() == (SERVING, SERVING, SERVING)
    told = [line["why"] for line in logs if line["event"] == "schema_not_usable"]
    assert told == [
        "The database has no schema that this role may read; this service needs 0002: run `migrate`.",
        "The schema is at 0001, older than this service, which needs 0002: run `migrate`.",
    ]


async def test_a_newer_schema_is_worked_with_until_one_asks_for_a_newer_service(
    url: str, postgres: RunningPostgres, tmp_path: Path
) -> None:
    own, newer = write(tmp_path / "own", 1), write(tmp_path / "newer", 1)
    await upgrade(postgres.migrator_url(url), own)
    with structlog.testing.capture_logs() as logs:
        async with starting(url, own) as service:
            await service.task
            await upgrade(postgres.migrator_url(url), write(newer, 2))
            await service.runtime._readiness.look()
            assert await service.states() == (SERVING, SERVING, SERVING)
            await upgrade(postgres.migrator_url(url), write(newer, 3, oldest_service="0002"))
            await service.runtime._readiness.look()
            await service.runtime._readiness.look()
            assert await service.states() == (SERVING, NOT_SERVING, NOT_SERVING)
    [told] = [line["why"] for line in logs if line["event"] == "schema_not_usable"]
    assert told == (
        "The schema is at 0003, newer than this service: it asks for one of revision 0002 or newer, and this one is of "
        "0001. Deploy a newer one."
    )


async def run(*arguments: str, **told: str) -> tuple[int | None, str]:
    """The ledger's command in an environment of nothing but what it is told: its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ledger",
        *arguments,
        env=told,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_migrating_is_a_job_that_holds_the_migrators_url_and_serving_is_refused_it(
    url: str, postgres: RunningPostgres
) -> None:
    migrator = {"POOLS_MIGRATOR_DATABASE_URL": postgres.migrator_url(url)}
    status, said = await run("migrate", **migrator)
    assert status == 0, said
    [newest] = [revision.name for revision in read_revisions(MIGRATIONS)][-1:]
    assert await schema_version(migrator["POOLS_MIGRATOR_DATABASE_URL"]) == newest
    status, said = await run("serve", POOLS_MODE="test", POOLS_DATABASE_URL=url, **migrator)
    assert status == 2
    assert "POOLS_MIGRATOR_DATABASE_URL is for `migrate` alone" in said
