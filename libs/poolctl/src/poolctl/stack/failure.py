"""Owns what is said when a part of the stack cannot start: what, why, what to do, and the end of its log."""

from pathlib import Path
from typing import Any

from poolctl.failure import CommandFailure


class StackError(CommandFailure):
    """Something of the stack cannot start or stop; it may be told by one process and shown by another."""

    def __init__(self, what: str, *, advice: str = "", log: Path | None = None, tail: str = "") -> None:
        lines = [what]
        if advice:
            lines.append(advice)
        if log is not None:
            lines.append(f"The end of {log}:")
            lines += [f"  {line}" for line in (tail or "(empty)").splitlines()]
        super().__init__("\n".join(lines))
        self.what = what
        self.advice = advice
        self.log = log
        self.tail = tail

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "advice": self.advice,
            "log": None if self.log is None else str(self.log),
            "tail": self.tail,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "StackError":
        log = content["log"]
        return cls(content["what"], advice=content["advice"], log=Path(log) if log else None, tail=content["tail"])
