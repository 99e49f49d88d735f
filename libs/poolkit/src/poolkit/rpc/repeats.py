"""Tells what is news from what was said a moment ago, where a fault repeats with every call."""

import time
from typing import Final

SECONDS: Final = 10.0
KEPT_MAX: Final = 256


class Repeats:
    """What was said lately; a fault that goes on is said again every ten seconds."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def is_news(self, what: str) -> bool:
        """Whether to say it now; whoever asks says it."""
        now = time.monotonic()
        if now - self._said_at.get(what, -SECONDS) < SECONDS:
            return False
        if len(self._said_at) >= KEPT_MAX:
            self._said_at.clear()
        self._said_at[what] = now
        return True
