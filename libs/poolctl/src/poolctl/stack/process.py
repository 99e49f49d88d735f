"""Owns one operating-system process of the stack: its start, its pid file, its end, and what its log says last.

Nothing here belongs to an event loop: waiting is polling with a deadline, so the same object can be used from a
session-wide fixture, from a test and from the supervisor.
"""

import asyncio
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolctl.stack.failure import StackError
from poolctl.stack.identity import Identity

_LAUNCHER = Path(__file__).with_name("launch.py")
_POLL_SECONDS = 0.02
_TAIL_BYTES = 64 * 1024
_LOG_BYTES_MAX = 16 * 1024 * 1024


def log_tail(path: Path, lines: int = 20, *, since_byte: int = 0) -> str:
    """The last lines of a log, of those after `since_byte`; empty when there is none."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(since_byte, log.tell() - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def start_time(pid: int) -> float | None:
    """When a living process began, in a unit of its system's own; with the pid it names a process for good.

    On Linux in clock ticks since boot, which no change of the clock moves. None when there is no such process, or when
    it has ended and only waits to be collected.
    """
    if platform.system() == "Linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else float(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that cannot be taken for a later one with the same number."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    @classmethod
    def read(cls, pid_file: Path) -> "ProcessIdentity | None":
        """What a pid file names, None where there is none or it was cut short by a crash."""
        try:
            content = json.loads(pid_file.read_text())
            return cls(int(content["pid"]), float(content["started"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, pid_file: Path) -> None:
        partial = pid_file.with_suffix(".partial")
        partial.write_text(json.dumps({"pid": self.pid, "started": self.started}))
        partial.replace(pid_file)

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def signal_group(self, number: int) -> None:
        """Signals the process and all it started; each part leads a group of its own."""
        if not self.alive:
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # A process that was not started by us, or has not yet become a leader, has no group of its own.
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


async def wait_until_gone(process: ProcessIdentity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.alive:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


async def stop_orphan(pid_file: Path, *, stop_signal: int, grace_seconds: float) -> ProcessIdentity | None:
    """Ends what an earlier supervisor left behind under this pid file; answers what it ended, if anything."""
    orphan = ProcessIdentity.read(pid_file)
    if orphan is not None and orphan.alive:
        os.kill(orphan.pid, stop_signal)
        if not await wait_until_gone(orphan, grace_seconds):
            orphan.signal_group(signal.SIGKILL)
            await wait_until_gone(orphan, grace_seconds)
    else:
        orphan = None
    pid_file.unlink(missing_ok=True)
    return orphan


class Process:
    """One child process, in a session of its own so that Ctrl-C reaches only the one who stops all in order.

    If we die without stopping it, Linux sends it its stop signal; elsewhere `stop_orphan` finds it by its pid file.
    """

    def __init__(
        self,
        name: str,
        *,
        log: Path,
        pid_file: Path,
        stop_signal: int = signal.SIGTERM,
        grace_seconds: float = 15.0,
    ) -> None:
        self.name = name
        self.log = log
        self.pid_file = pid_file
        self.stop_signal = stop_signal
        self.grace_seconds = grace_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._collected = True
        self._log_start_byte = 0

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        identity: Identity | None = None,
        directory: Path = Path("/"),
    ) -> None:
        """Starts the program; its output is appended to the log. Call it from a thread that lives as long as it."""
        order = {
            "parent": os.getpid(),
            "death_signal": int(self.stop_signal),
            "user": identity.user if identity else None,
            "group": identity.group if identity else None,
            "capability": identity.capability if identity else None,
        }
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(order)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._rotate_log()
        with self.log.open("ab") as output:
            self._log_start_byte = output.tell()
            self._child = subprocess.Popen(
                [*launcher, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
                close_fds=True,
            )
        self._collected = False
        started = ProcessIdentity.of(self._child.pid)
        if started is not None:
            started.write(self.pid_file)

    def start_python(
        self, module_and_arguments: Sequence[str], *, environment: Mapping[str, str], python: str = sys.executable
    ) -> None:
        """Starts a module with a Python, ours by default; -P keeps the working directory out of where it looks."""
        self.start([python, "-P", "-m", *module_and_arguments], environment=environment)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return None if self._child is None else self._child.poll()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self.running else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def exit_status(self) -> str:
        """How it ended, in words."""
        code = self.exit_code
        if code is None:
            return "has not ended"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def tail(self, lines: int = 20) -> str:
        """What it said last since it was started last."""
        return log_tail(self.log, lines, since_byte=self._log_start_byte)

    def _rotate_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_BYTES_MAX:
                self.log.replace(self.log.with_suffix(".log.1"))

    def send(self, number: int) -> None:
        """One signal to the process alone, as `kill -N pid` would."""
        if self._child is not None and self.running:
            self._child.send_signal(number)

    async def wait(self, seconds: float) -> bool:
        """Whether it ended in time."""
        deadline = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def stop(self) -> bool:
        """Asks it to end, and ends it when it does not; False when it had to be killed. Repeating it is harmless."""
        orderly = True
        if self.running:
            self.send(self.stop_signal)
            orderly = await self.wait(self.grace_seconds)
        await self.kill()
        return orderly

    async def kill(self) -> None:
        """SIGKILL to it and to everything it started; returns when it is gone."""
        if self._child is not None and not self._collected:
            # Once only: when the group is gone its number may in time become somebody else's.
            self._collected = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
            await self.wait(10.0)
        self.pid_file.unlink(missing_ok=True)

    def failure(self, what: str, advice: str) -> StackError:
        """The error of a part that did not come up, quoting its log."""
        return StackError(f"{what}: it {self.exit_status}.", advice=advice, log=self.log, tail=self.tail())
