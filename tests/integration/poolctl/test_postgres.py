"""The stack's PostgreSQL: what was committed survives any end, and no end leaves a server behind."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from poolctl.stack.failure import StackError
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from poolctl.stack.process import ProcessIdentity
from tests.waiting import eventually


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Postgres]:
    """One that is running, and the test's own to kill."""
    postgres = Postgres(tmp_path / "postgres", free_port())
    await postgres.start()
    yield postgres
    await postgres.stop()


async def _execute(server: Postgres, sql: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_committed_rows_survive_stop_kill_and_start(server: Postgres) -> None:
    await _execute(server, "CREATE TABLE kept (id bigint)")
    await _execute(server, "INSERT INTO kept VALUES (1)")
    await server.stop()
    await server.start()
    await _execute(server, "INSERT INTO kept VALUES (2)")
    await server.kill()
    await server.start()
    assert await _execute(server, "SELECT count(*) FROM kept") == 2


async def test_commits_are_on_disk_when_they_are_answered(server: Postgres) -> None:
    assert await _execute(server, "SHOW fsync") == "on"
    assert await _execute(server, "SHOW synchronous_commit") == "on"


async def test_lock_of_a_dead_server_whose_number_now_is_another_process_s_is_no_hindrance(server: Postgres) -> None:
    await server.kill()
    lock = server.cluster / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    await server.start()
    assert await _execute(server, "SELECT 1") == 1


async def test_half_made_cluster_of_a_killed_first_start_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "cluster.new" / "base").mkdir(parents=True)
    server = Postgres(tmp_path, free_port())
    await server.start()
    assert await _execute(server, "SELECT 1") == 1
    await server.stop()


async def test_directory_only_its_owner_may_enter_is_used_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(closed / "postgres", free_port())
    await server.start()
    assert await _execute(server, "SELECT 1") == 1
    await server.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


async def test_passwords_are_readable_by_their_owner_only(server: Postgres) -> None:
    files = [file for file in server.directory.iterdir() if file.name == "passwords.json"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]


async def test_taken_port_is_told_with_the_log_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Postgres(tmp_path, other.getsockname()[1])
        with pytest.raises(StackError) as failure:
            await server.start()
    assert "did not start" in failure.value.what
    assert failure.value.advice
    assert "Address already in use" in failure.value.tail
    assert not server.process.running


async def test_server_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from poolctl.stack.postgres import Postgres\n"
        "async def main():\n"
        "    server = Postgres(sys.argv[1], int(sys.argv[2])); await server.start()\n"
        "    print(server.process.pid, flush=True); await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    port = free_port()
    with subprocess.Popen(  # noqa: ASYNC220 - the test waits for its first line anyway
        [sys.executable, "-c", script, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        orphan = ProcessIdentity.of(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
    assert orphan is not None
    await eventually(lambda: not orphan.alive, "the orphaned server ends by itself")
    again = Postgres(tmp_path, port)
    await again.start()
    assert await _execute(again, "SELECT 1") == 1
    await again.stop()
