"""`poolctl up`, `status` and `down` as a person uses them: in the background, in the foreground, when it goes wrong.

Source: CONTRACT §12.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from poolctl.stack.layout import Layout
from poolctl.stack.process import ProcessIdentity
from tests.e2e.commands import Poolctl
from tests.waiting import eventually

PARTS = {"postgres", "kafka", "quote", "ledger", "trade", "webhook-ingest", "gateway", "sandbox"}


@pytest.fixture(scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A data directory of the module's own; whatever a test leaves running in it is stopped."""
    made = tmp_path_factory.mktemp("commands")
    yield made
    await Poolctl(made)("down")
    shutil.rmtree(made)


@pytest.fixture
def poolctl(directory: Path) -> Poolctl:
    """The command line on that directory."""
    return Poolctl(directory)


def _living(directory: Path) -> set[str]:
    layout = Layout.at(directory)
    files = [*layout.run.glob("*.pid"), *layout.postgres.glob("*.pid"), *layout.kafka.glob("*.pid")]
    identities = {file.stem: ProcessIdentity.read(file) for file in files}
    return {name for name, identity in identities.items() if identity is not None and identity.alive}


async def _foreground(directory: Path, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poolctl", "up", "--json", "--data-dir", str(directory)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )


async def test_interrupted_before_it_is_ready_it_leaves_nothing_running(directory: Path) -> None:
    command = await _foreground(directory)
    await eventually(lambda: bool(_living(directory)), "a part is starting")
    command.send_signal(signal.SIGINT)
    stdout, _ = await asyncio.wait_for(command.communicate(), 60)
    assert command.returncode == 130
    assert stdout == b""
    assert _living(directory) == set()


@pytest.mark.long
async def test_a_failed_start_says_what_why_and_what_to_do_and_leaves_nothing_running(directory: Path) -> None:
    command = await _foreground(directory, {"POOLS_LOG_LEVEL": "loud"})
    stdout, stderr = await asyncio.wait_for(command.communicate(), 120)
    assert command.returncode == 1
    assert stdout == b""
    said = stderr.decode()
    assert "did not start: it ended with status 2" in said
    assert "POOLS_LOG_LEVEL is 'loud' that cannot be used" in said
    assert str(directory / "logs") in said
    assert _living(directory) == set()


@pytest.mark.long
async def test_detached_then_killed_then_in_the_foreground_it_is_the_same_stack_until_it_is_told_to_end(
    poolctl: Poolctl, directory: Path
) -> None:
    # That this returns at all shows that nothing holds the pipes it writes to.
    detached = await poolctl("up", "--detach", "--json", seconds=120)
    assert detached.status == 0, detached.stderr
    status = await poolctl.answer("status")
    assert set(status["parts"]) == PARTS == _living(directory)
    assert all(part["ready"] for part in status["parts"].values())

    again = await poolctl("up", "--detach", "--json")
    assert again.document == detached.document
    assert f"is already run by process {status['pid']}" in again.stderr

    os.kill(status["pid"], signal.SIGKILL)
    await eventually(lambda: not _living(directory), "the orphans end by themselves")
    assert (await poolctl.answer("status"))["phase"] == "killed"

    foreground = await _foreground(directory)
    assert await _document(foreground) == detached.document

    assert (await poolctl.answer("down"))["stopped"] is True
    rest, _ = await asyncio.wait_for(foreground.communicate(), 60)
    assert (foreground.returncode, rest) == (0, b"")
    assert _living(directory) == set()
    assert (await poolctl.answer("status"))["running"] is False
    assert (await poolctl.answer("down"))["stopped"] is False


async def _document(command: asyncio.subprocess.Process) -> Any:
    """The document of a command that goes on running."""
    assert command.stdout is not None
    lines = b""
    while not lines or lines.count(b"{") != lines.count(b"}"):
        line = await asyncio.wait_for(command.stdout.readline(), 120)
        assert line, (await command.communicate())[1].decode()
        lines += line
    return json.loads(lines)


async def test_a_data_directory_that_cannot_be_made_is_refused_with_advice(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a directory")
    refused = await Poolctl(occupied)("up", "--detach")
    assert refused.status == 1
    assert "cannot be made" in refused.stderr
    assert "--data-dir" in refused.stderr
