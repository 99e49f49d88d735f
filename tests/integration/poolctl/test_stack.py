"""The supervisor, with programs that only pretend to be services: order, failure, kills and what is left behind."""

import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from poolctl.stack import Stack
from poolctl.stack.databases import DATABASES
from poolctl.stack.failure import StackError
from poolctl.stack.layout import Layout
from poolctl.stack.process import ProcessIdentity
from poolctl.stack.programs import Program
from poolctl.stack.status import status_of
from poolctl.stack.supervisor import AlreadyRunning
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[3]
FAKE = "tests.integration.poolctl.fake_service"
CALLEE = Program("quote", FAKE, "pools-quote", database="quote", stop_wave=2)
CALLER = Program("gateway", FAKE, "pools-gateway", database="gateway", stop_wave=1)
PROGRAMS = (CALLEE, CALLER)
ENVIRONMENT = {program.name: {"PYTHONPATH": str(REPOSITORY)} for program in PROGRAMS}


class Said(list[tuple[str, str]]):
    """What a stack said."""

    def say(self, part: str, words: str) -> None:
        self.append((part, words))

    def of(self, part: str) -> str:
        return "\n".join(words for name, words in self if name == part)


def _stack(directory: Path, said: Said | None = None, **options: object) -> Stack:
    given = {"programs": PROGRAMS, "environment": ENVIRONMENT, "say": (Said() if said is None else said).say} | options
    return Stack(directory, **given)  # type: ignore[arg-type]


def _living(layout: Layout) -> list[str]:
    files = [*layout.run.glob("*.pid"), *layout.postgres.glob("*.pid"), *layout.kafka.glob("*.pid")]
    identities = {file.stem: ProcessIdentity.read(file) for file in files}
    return [name for name, identity in identities.items() if identity is not None and identity.alive]


@pytest.fixture(scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the module: making a new one each time would only cost time."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture
async def running(directory: Path) -> AsyncIterator[Stack]:
    """A stack the test may kill parts of."""
    stack = _stack(directory)
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
        await _stack(running.layout.data_dir).start()
    assert running.part("postgres").process.running


async def test_parts_stop_in_order_callers_first_database_last(directory: Path) -> None:
    said = Said()
    stack = _stack(directory, said)
    await stack.start()
    await stack.stop()
    stops = [part for part, words in said if words == "stopped"]
    assert stops[:2] == ["gateway", "quote"]
    assert set(stops[2:]) == {"postgres", "kafka"}
    assert _living(stack.layout) == []
    assert (await status_of(stack.layout))["phase"] == "stopped"


async def test_ports_and_secrets_stay_and_a_taken_port_is_chosen_again_with_a_word(directory: Path) -> None:
    first = _stack(directory)
    before = await first.start()
    await first.stop()
    port = int(before["services"]["quote"].rpartition(":")[2])
    secrets = first.layout.secrets_file.read_text()
    said = Said()
    with socket.create_server(("127.0.0.1", port)):
        second = _stack(directory, said)
        after = await second.start()
        await second.stop()
    assert after["services"]["quote"] != before["services"]["quote"]
    assert f"port {port} of quote.grpc is taken" in said.of("stack")
    assert {**after, "services": None} == {**before, "services": None}
    assert after["services"]["gateway"] == before["services"]["gateway"]
    assert first.layout.secrets_file.read_text() == secrets


@pytest.mark.parametrize(("refusing", "what"), [("migrate", "could not be migrated"), ("serve", "did not start")])
async def test_failed_start_says_why_and_leaves_nothing_running(directory: Path, refusing: str, what: str) -> None:
    environment = {**ENVIRONMENT, "quote": {**ENVIRONMENT["quote"], "FAKE_REFUSES": refusing}}
    stack = _stack(directory, environment=environment)
    with pytest.raises(StackError) as failure:
        await stack.start()
    assert "quote" in failure.value.what
    assert what in failure.value.what
    assert failure.value.advice
    assert failure.value.log == stack.layout.log("quote")
    assert "the moon is in the wrong phase" in failure.value.tail
    assert _living(stack.layout) == []
    assert (await status_of(stack.layout))["phase"] == "failed"


async def test_program_that_is_not_installed_is_named(directory: Path) -> None:
    stack = _stack(directory, programs=(replace(CALLEE, module="nowhere"),))
    with pytest.raises(StackError, match="quote is not installed"):
        await stack.start()
    assert _living(stack.layout) == []


async def test_whatever_is_killed_comes_back_with_its_data(directory: Path) -> None:
    said = Said()
    stack = _stack(directory, said, restart=True)
    await stack.start()
    try:
        admin = await asyncpg.connect(stack.addresses["adminDatabases"]["quote"])
        await admin.execute("CREATE TABLE IF NOT EXISTS kept (id bigint); TRUNCATE kept; INSERT INTO kept VALUES (7)")
        await admin.close()
        killed = {name: stack.part(name).process for name in ("postgres", "kafka", "quote", "gateway")}
        before = {name: process.pid for name, process in killed.items()}
        for process in killed.values():
            process.send(signal.SIGKILL)

        async def all_are_back() -> bool:
            is_new = [process.pid not in (None, before[name]) for name, process in killed.items()]
            return all(is_new) and all([await stack.part(name).is_ready() for name in killed])

        await eventually(all_are_back, "every part is back", seconds=40)
        admin = await asyncpg.connect(stack.addresses["adminDatabases"]["quote"])
        assert await admin.fetchval("SELECT id FROM kept") == 7
        await admin.close()
        assert "was killed by SIGKILL; starting it again" in said.of("quote")
    finally:
        await stack.stop()
    assert _living(stack.layout) == []


async def test_killed_supervisor_leaves_no_orphans_and_the_next_start_works(directory: Path) -> None:
    script = (
        "import asyncio, json, sys\n"
        "from tests.integration.poolctl.test_stack import _stack\n"
        "async def main():\n"
        "    print(json.dumps(await _stack(sys.argv[1]).start()), flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(  # noqa: ASYNC220 - the test waits for its first line anyway
        [sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as supervisor:
        assert supervisor.stdout is not None
        addresses = json.loads(supervisor.stdout.readline())
        layout = Layout.at(directory)
        assert sorted(_living(layout)) == ["gateway", "kafka", "postgres", "quote"]
        supervisor.send_signal(signal.SIGKILL)
    assert (await status_of(layout))["phase"] == "killed"
    await eventually(lambda: _living(layout) == [], "the orphans end")

    stack = _stack(directory)
    assert await stack.start() == addresses
    await stack.stop()
