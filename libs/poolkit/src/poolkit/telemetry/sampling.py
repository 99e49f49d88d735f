"""Which new traces are recorded: the first few that begin in each second, so that load never pays for tracing."""

import time


class RootGate:
    """Admits at most `per_second_max` new traces a second; below one, one trace every `1 / per_second_max` seconds.

    It decides before the SDK is reached, so that a trace nobody records costs two comparisons. Traces that were begun
    elsewhere never ask: they keep the decision they carry.
    """

    __slots__ = ("_admitted", "_limit", "_period_seconds", "_until")

    def __init__(self, per_second_max: float) -> None:
        self._period_seconds = 1.0 if per_second_max >= 1 else (1 / per_second_max if per_second_max > 0 else 1.0)
        self._limit = 0 if per_second_max <= 0 else max(1, int(per_second_max))
        self._until = 0.0
        self._admitted = 0

    def admit(self) -> bool:
        """Whether the trace that begins now is recorded; each yes uses up one of the period's."""
        now = time.monotonic()
        if now >= self._until:
            self._until = now + self._period_seconds
            self._admitted = 0
        if self._admitted >= self._limit:
            return False
        self._admitted += 1
        return True
