"""Owns the answer to who runs a stack: one process holds its lock, and the system lets go of it when that one dies."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO

from poolctl.stack.process import ProcessIdentity


class StackLock:
    """A lock on a file, held as long as the holder lives; it cannot go stale."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        """False when another process holds it."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = self._file.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return False
        self._held = handle
        me = ProcessIdentity.of(os.getpid())
        handle.truncate(0)
        handle.write(json.dumps({"pid": os.getpid(), "started": me.started if me else 0.0}))
        handle.flush()
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def holder(self) -> ProcessIdentity | None:
        """Who holds it, None when nobody does."""
        return ProcessIdentity.read(self._file) if self.is_held_by_another() else None

    def is_held_by_another(self) -> bool:
        """Whether some other process runs the stack now."""
        if self._held is not None or not self._file.exists():
            return False
        descriptor = os.open(self._file, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
