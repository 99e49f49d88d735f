"""The supervisor, with programs that only pretend to be services: order, failure, and what is left behind."""

import json
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from poolctl.stack.failure import StackError
from poolctl.stack.layout import Layout
from poolctl.stack.status import status_of
from tests.integration.poolctl.fakes import CALLEE, ENVIRONMENT, REPOSITORY, Said, fake_stack, living
from tests.waiting import eventually


@pytest.fixture(scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the module: making a new one each time would only cost time."""
    return tmp_path_factory.mktemp("stack")


async def test_parts_stop_in_order_and_come_back_on_the_same_ports_or_say_which_was_taken(directory: Path) -> None:
    said = Said()
    first = fake_stack(directory, said)
    before = await first.start()
    await first.stop()
    stops = [part for part, words in said if words == "stopped"]
    assert stops[:2] == ["gateway", "quote"]
    assert set(stops[2:]) == {"postgres", "kafka"}
    assert living(first.layout) == []
    assert (await status_of(first.layout))["phase"] == "stopped"

    port = int(before["services"]["quote"].rpartition(":")[2])
    secrets = first.layout.secrets_file.read_text()
    with socket.create_server(("127.0.0.1", port)):
        second = fake_stack(directory, said)
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
    stack = fake_stack(directory, environment=environment)
    with pytest.raises(StackError) as failure:
        await stack.start()
    assert "quote" in failure.value.what
    assert what in failure.value.what
    assert failure.value.advice
    assert failure.value.log == stack.layout.log("quote")
    assert "the moon is in the wrong phase" in failure.value.tail
    assert living(stack.layout) == []
    assert (await status_of(stack.layout))["phase"] == "failed"


async def test_program_that_is_not_installed_is_named(directory: Path) -> None:
    stack = fake_stack(directory, programs=(replace(CALLEE, module="nowhere"),))
    with pytest.raises(StackError, match="quote is not installed"):
        await stack.start()
    assert living(stack.layout) == []


async def test_killed_supervisor_leaves_no_orphans_and_the_next_start_works(directory: Path) -> None:
    script = (
        "import asyncio, json, sys\n"
        "from tests.integration.poolctl.fakes import fake_stack\n"
        "async def main():\n"
        "    print(json.dumps(await fake_stack(sys.argv[1]).start()), flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(  # noqa: ASYNC220 - the test waits for its first line anyway
        [sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as supervisor:
        assert supervisor.stdout is not None
        addresses = json.loads(supervisor.stdout.readline())
        layout = Layout.at(directory)
        assert sorted(living(layout)) == ["gateway", "kafka", "postgres", "quote"]
        supervisor.send_signal(signal.SIGKILL)
    assert (await status_of(layout))["phase"] == "killed"
    await eventually(lambda: living(layout) == [], "the orphans end")

    stack = fake_stack(directory)
    assert await stack.start() == addresses
    await stack.stop()
