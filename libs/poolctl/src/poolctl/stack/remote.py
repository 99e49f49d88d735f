"""Owns dealing with a stack that another process runs: starting one that outlives us, waiting for it, stopping it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from poolctl.stack.failure import StackError
from poolctl.stack.layout import Layout
from poolctl.stack.lock import StackLock
from poolctl.stack.orphans import stop_orphans
from poolctl.stack.process import ProcessIdentity, log_tail, wait_until_gone
from poolctl.stack.state import StackState
from poolctl.stack.supervisor import STACK

Words = Callable[[str, str], None]

_POLL_SECONDS = 0.05
# The first start on a machine fetches Kafka, maybe over a slow line.
_START_SECONDS = 600.0
_STOP_SECONDS = 90.0


async def start_detached(
    layout: Layout, *, restart: bool, zipkin: bool, mtls: bool | None, say: Words
) -> dict[str, Any]:
    """Starts a supervisor in a session of its own and answers the addresses when all is ready.

    It inherits nothing of the caller's: no output, no terminal. If we are told to stop before it is ready, so is it.
    """
    lock, state = StackLock(layout.lock_file), StackState.read(layout.state_file)
    if lock.is_held_by_another() and not (state is not None and state.phase == "stopping"):
        return await wait_for_another(layout, say)
    layout.create()
    # What an earlier run said of itself must not be taken for what this one says.
    layout.state_file.unlink(missing_ok=True)
    log = layout.log("supervisor")
    command = [sys.executable, "-P", "-m", "poolctl", "up", "--data-dir", str(layout.data_dir)]
    command += ["--restart" if restart else "--no-restart", *(["--zipkin"] if zipkin else [])]
    if mtls is not None:
        command.append("--mtls" if mtls else "--no-mtls")
    with log.open("ab") as output:
        supervisor = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )
    identity = ProcessIdentity.of(supervisor.pid)
    task = asyncio.current_task()
    if task is not None:
        # SIGINT is asyncio's own business; the other way of telling us to stop must end the supervisor as well.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await _follow(layout, say, lives=lambda: supervisor.poll() is None)
    except StackError:
        if lock.is_held_by_another():
            # Two were started at once, and the other was faster.
            return await wait_for_another(layout, say)
        raise
    except BaseException:
        if supervisor.poll() is None:
            supervisor.terminate()
            if identity is not None:
                await wait_until_gone(identity, _STOP_SECONDS)
        raise


async def wait_for_another(layout: Layout, say: Words) -> dict[str, Any]:
    """The addresses of a stack that somebody else started, once it is ready."""
    lock = StackLock(layout.lock_file)
    holder = lock.holder()
    say(STACK, f"is already run by process {holder.pid}" if holder is not None else "is already run")
    return await _follow(layout, lambda part, words: None, lives=lock.is_held_by_another)


async def _follow(layout: Layout, say: Words, *, lives: Callable[[], bool]) -> dict[str, Any]:
    """Passes on what the supervisor says until it is ready or has failed."""
    said = 0
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        alive = lives()
        state = StackState.read(layout.state_file)
        if state is not None:
            for part, words in state.words[said:]:
                say(part, words)
            said = len(state.words)
            if state.phase == "running" and state.addresses is not None and alive:
                return state.addresses
        if not alive:
            raise _failure_of(layout, state)
        await asyncio.sleep(_POLL_SECONDS)
    raise StackError(
        f"The stack in {layout.data_dir} was not ready within {_START_SECONDS:.0f} s.",
        advice="Its supervisor's log says how far it came.",
        log=layout.log("supervisor"),
        tail=log_tail(layout.log("supervisor")),
    )


def _failure_of(layout: Layout, state: StackState | None) -> StackError:
    if state is not None and state.error is not None:
        return StackError.from_json(state.error)
    log = layout.log("supervisor")
    return StackError(
        f"The supervisor of the stack in {layout.data_dir} ended before it was ready.",
        advice="Its log says why; `poolctl up` without --detach shows it as it happens.",
        log=log,
        tail=log_tail(log),
    )


async def stop_stack(layout: Layout, say: Words) -> bool:
    """Ends the supervisor in order, whoever started it, and what a killed one left; False when nothing ran."""
    supervisor = StackLock(layout.lock_file).holder()
    if supervisor is not None and supervisor.alive:
        os.kill(supervisor.pid, signal.SIGTERM)
        if not await _follow_stop(layout, supervisor, say):
            say(STACK, f"did not stop within {_STOP_SECONDS:.0f} s; killing its supervisor")
            os.kill(supervisor.pid, signal.SIGKILL)
            await wait_until_gone(supervisor, 10.0)
    orphans = await stop_orphans(layout)
    for name in orphans:
        say(name, "was left behind by a stack that was killed; stopped it")
    return supervisor is not None or bool(orphans)


async def _follow_stop(layout: Layout, supervisor: ProcessIdentity, say: Words) -> bool:
    """Passes on what the supervisor says until it has ended; False when it has not in time."""
    before = StackState.read(layout.state_file)
    said = len(before.words) if before is not None else 0
    deadline = time.monotonic() + _STOP_SECONDS
    lock = StackLock(layout.lock_file)
    while supervisor.alive and lock.is_held_by_another():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
        state = StackState.read(layout.state_file)
        words = state.words if state is not None else ()
        for part, sentence in words[said:]:
            say(part, sentence)
        said = max(said, len(words))
    return True
