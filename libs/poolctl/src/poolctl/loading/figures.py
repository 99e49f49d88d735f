"""Owns the figures of a load: how many journeys, how many a second, and the percentiles of each step."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

STEPS = ("quote", "transact", "webhook", "journey")
"""Price given; trade reserved; from reserved until the partner's webhook; all of it."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank); of sorted values, at least one."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(slots=True)
class Figures:
    """What was measured so far; times in seconds."""

    times: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """For each failure the request id of its first, to look for."""

    def fail(self, reason: str, request_id: str | None) -> None:
        """A journey ended early."""
        self.failures[reason] += 1
        if request_id is not None:
            self.examples.setdefault(reason, request_id)

    @property
    def journeys(self) -> int:
        """Those that came to their end."""
        return len(self.times["journey"])

    def document(self, *, seconds: float, concurrency: int) -> dict[str, Any]:
        """As JSON tells it; a step nobody reached has no figures."""
        return {
            "seconds": round(seconds, 3),
            "concurrency": concurrency,
            "journeys": self.journeys,
            "failures": dict(self.failures),
            "failureRequestIds": self.examples,
            "throughput": round(self.journeys / seconds, 2) if seconds else 0.0,
            "steps": {step: step_figures(times) for step, times in self.times.items() if times},
        }


def step_figures(times: Sequence[float]) -> dict[str, float]:
    """Count and milliseconds."""
    ordered = sorted(times)
    return {
        "count": len(ordered),
        "p50Ms": round(percentile(ordered, 0.50) * 1e3, 3),
        "p95Ms": round(percentile(ordered, 0.95) * 1e3, 3),
        "p99Ms": round(percentile(ordered, 0.99) * 1e3, 3),
        "maxMs": round(ordered[-1] * 1e3, 3),
    }
