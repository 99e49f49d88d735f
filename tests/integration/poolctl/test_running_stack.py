"""A running stack, with programs that only pretend to be services: what it tells, and what it does when parts die."""

import signal
import stat
from collections.abc import AsyncIterator

import asyncpg
import pytest

from poolctl.stack import Stack
from poolctl.stack.databases import DATABASES
from poolctl.stack.status import status_of
from poolctl.stack.supervisor import AlreadyRunning
from tests.integration.poolctl.fakes import Said, fake_stack
from tests.waiting import eventually


@pytest.fixture(scope="module")
async def said() -> Said:
    """What the running stack said."""
    return Said()


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, said: Said) -> AsyncIterator[Stack]:
    """One for the module; each test leaves it with every part running."""
    stack = fake_stack(tmp_path_factory.mktemp("running"), said, restart=True)
    await stack.start()
    yield stack
    await stack.stop()


async def test_addresses_say_where_all_is_and_each_role_can_log_in(running: Stack) -> None:
    addresses = running.addresses
    assert set(addresses["services"]) == set(addresses["databases"]) == {"quote", "gateway"}
    assert addresses["dataDir"] == str(running.layout.data_dir)
    for database in ("quote", "gateway"):
        runtime = await asyncpg.connect(addresses["databases"][database])
        assert await runtime.fetchval("SELECT current_user") == f"{database}_runtime"
        await runtime.close()
        admin = await asyncpg.connect(addresses["adminDatabases"][database])
        assert await admin.fetchval("SELECT current_setting('is_superuser')") == "on"
        assert set(DATABASES) <= {row[0] for row in await admin.fetch("SELECT datname FROM pg_database")}
        await admin.close()


async def test_everything_listens_on_loopback_only(running: Stack) -> None:
    import psutil

    for name in ("postgres", "kafka"):
        pid = running.part(name).process.pid
        assert pid is not None
        listening = {c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert listening


async def test_status_tells_running_ready_pid_version_and_port_of_each_part(running: Stack) -> None:
    status = await status_of(running.layout)
    assert list(status["parts"]) == ["postgres", "kafka", "quote", "gateway"]
    assert all(part["running"] and part["ready"] and part["version"] for part in status["parts"].values())
    assert status["parts"]["quote"]["pid"] == running.part("quote").process.pid

    await running.kill_part("quote")
    status = await status_of(running.layout)
    assert status["parts"]["quote"]["running"] is False
    assert status["parts"]["quote"]["pid"] is None
    assert status["parts"]["gateway"]["ready"] is True

    await running.start_part("quote")
    assert (await status_of(running.layout))["parts"]["quote"]["ready"] is True


async def test_files_with_secrets_are_readable_by_their_owner_only(running: Stack) -> None:
    layout = running.layout
    for file in (layout.secrets_file, layout.state_file, layout.postgres / "passwords.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_second_start_says_that_the_stack_runs_and_leaves_it_alone(running: Stack) -> None:
    with pytest.raises(AlreadyRunning):
        await fake_stack(running.layout.data_dir).start()
    assert running.part("postgres").process.running


async def test_whatever_is_killed_comes_back_with_its_data(running: Stack, said: Said) -> None:
    admin = await asyncpg.connect(running.addresses["adminDatabases"]["quote"])
    await admin.execute("CREATE TABLE kept (id bigint); INSERT INTO kept VALUES (7)")
    await admin.close()
    killed = {name: running.part(name).process for name in ("postgres", "kafka", "quote", "gateway")}
    before = {name: process.pid for name, process in killed.items()}
    for process in killed.values():
        process.send(signal.SIGKILL)

    async def all_are_back() -> bool:
        is_new = [process.pid not in (None, before[name]) for name, process in killed.items()]
        return all(is_new) and all([await running.part(name).is_ready() for name in killed])

    await eventually(all_are_back, "every part is back", seconds=60)
    admin = await asyncpg.connect(running.addresses["adminDatabases"]["quote"])
    assert await admin.fetchval("SELECT id FROM kept") == 7
    await admin.close()
    assert "was killed by SIGKILL; starting it again" in said.of("quote")
