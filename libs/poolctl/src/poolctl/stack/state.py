"""Owns what a running stack says of itself in its data directory, for `status`, `down` and a second `up` to read."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from poolctl.stack.process import ProcessIdentity
from poolctl.stack.secrets import write_privately

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class PartRecord:
    """Where to look for a part; whether it lives is asked of the system, never of this record."""

    port: int
    version: str
    pid_file: str
    health: str | None
    """Address of its health port; None for a part that is ready when its port is open."""


@dataclass(frozen=True, slots=True)
class StackState:
    """Told by the supervisor; true as long as the supervisor lives."""

    phase: Phase
    supervisor: ProcessIdentity
    words: tuple[tuple[str, str], ...] = ()
    """What was said so far, with the part it was said of."""
    parts: dict[str, PartRecord] = field(default_factory=dict)
    addresses: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @classmethod
    def read(cls, file: Path) -> "StackState | None":
        """None when there is none, or one of another version of ours."""
        try:
            content = json.loads(file.read_text())
            return cls(
                phase=content["phase"],
                supervisor=ProcessIdentity(**content["supervisor"]),
                words=tuple((part, words) for part, words in content["words"]),
                parts={name: PartRecord(**record) for name, record in content["parts"].items()},
                addresses=content["addresses"],
                error=content["error"],
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None


class StatePublisher:
    """Keeps the file true. It holds addresses with passwords, so only its owner may read it."""

    def __init__(self, file: Path, state: StackState) -> None:
        self._file = file
        self.state = state
        self._write()

    def change(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._write()

    def say(self, part: str, words: str) -> None:
        # Bounded: a part that dies and comes back for days must not grow the file for days.
        self.change(words=(*self.state.words, (part, words))[-500:])

    def _write(self) -> None:
        write_privately(self._file, json.dumps(asdict(self.state)))
