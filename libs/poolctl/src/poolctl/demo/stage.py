"""Owns the stack a demo plays on: a temporary one that leaves nothing behind, or the one in a named directory."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from poolctl.demo.narrator import Narrator, Step
from poolctl.failure import CommandFailure
from poolctl.session import Addresses, running_stack
from poolctl.stack.programs import PROGRAMS
from poolctl.stack.supervisor import Stack

# Nothing that the demo does goes unrecorded.
_RECORD_ALL = {program.name: {"POOLS_TRACE_SAMPLES_PER_SECOND_MAX": "1000"} for program in PROGRAMS}


@contextlib.asynccontextmanager
async def stage(data_dir: Path | None, narrator: Narrator) -> AsyncIterator[Addresses]:
    """A ready stack. What was started here is stopped here, however the story ends; a signal ends the story."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if data_dir is None:
        with _temporary_directory() as directory:
            async with _own_stack(directory, narrator) as addresses:
                yield addresses
        return
    try:
        addresses = running_stack(data_dir)
    except CommandFailure:
        async with _own_stack(data_dir, narrator) as addresses:
            yield addresses
        return
    narrator.say(f"  on the stack that runs in {addresses.data_dir}")
    yield addresses


@contextlib.contextmanager
def _temporary_directory() -> "Iterator[Path]":
    directory = Path(tempfile.mkdtemp(prefix="pools-demo-"))
    # PostgreSQL refuses to be root, and its user must pass through.
    directory.chmod(0o711)
    try:
        yield directory / "stack"
    finally:
        shutil.rmtree(directory)


@contextlib.asynccontextmanager
async def _own_stack(directory: Path, narrator: Narrator) -> AsyncIterator[Addresses]:
    ready: list[str] = []
    with narrator.step("stack") as step:
        stack = Stack(directory, say=lambda part, words: _follow(step, ready, part, words), environment=_RECORD_ALL)
        addresses = Addresses.of(await stack.start())
        step.tell(f"{len(ready)} processes: PostgreSQL, Kafka, five services, sandbox")
    try:
        yield addresses
    finally:
        with narrator.step("stop"):
            await stack.stop()


def _follow(step: Step, ready: list[str], part: str, words: str) -> None:
    if words.startswith("ready") and part != "stack":
        ready.append(part)
        step.tell(f"{', '.join(ready)} ready")
