"""Named points between two steps at which a test may kill the process; inert unless one is armed.

A module declares its points when it is imported, `settings.crashpoint` arms one of them, and code that passes says
`reach(name)`. Armed is `name`, or `name@3` for the third time it is reached. Source: architecture section 4.
"""

import difflib
import os
import signal
from typing import Final

CRASHPOINTS: Final[dict[str, str]] = {}
"""Every declared point by name, with what a kill there leaves unfinished; tests enumerate these."""


class _Armed:
    """The point that kills, if any, and how many times it must still be reached."""

    name: str | None = None
    reaches_left = 0


_armed: Final = _Armed()


def declare(name: str, leaves: str = "") -> str:
    """Register a point and give its name back, to be kept in a constant. Declaring it twice is a mistake."""
    if name in CRASHPOINTS:
        raise ValueError(f"Crash point {name!r} is declared twice; give each point its own name.")
    CRASHPOINTS[name] = leaves
    return name


def arm(point: str) -> None:
    """Let the process die at `point` (`name` or `name@count`); an empty string disarms.

    A point nobody declared is refused: a test that arms it would prove nothing.
    """
    name, _, count = point.partition("@")
    if name and name not in CRASHPOINTS:
        near = difflib.get_close_matches(name, CRASHPOINTS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Declared are: {', '.join(sorted(CRASHPOINTS)) or 'none'}."
        raise ValueError(f"Crash point {name!r} is not declared, so arming it would do nothing. {hint}")
    if count and not (count.isdecimal() and int(count) > 0):
        raise ValueError(f"Crash point {point!r} has no usable count; write `name@3` for the third time.")
    _armed.name = name or None
    _armed.reaches_left = int(count or 1)


def disarm() -> None:
    """Make every point inert again."""
    arm("")


def reach(name: str) -> None:
    """Die by SIGKILL here if this point is armed: no handler runs, no buffer is flushed, as in a real crash."""
    if _armed.name is None:
        return
    if name == _armed.name:
        _armed.reaches_left -= 1
        if _armed.reaches_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
