"""Drives calls with a fixed number in flight, and says how many a second and how long each took."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run."""

    in_flight: int
    calls: int
    seconds: float
    latencies_ms: tuple[float, ...]

    @property
    def per_second(self) -> float:
        """Calls completed a second."""
        return self.calls / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that `share` of the calls did not exceed, in milliseconds."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def as_json(self) -> dict[str, float]:
        """For the raw part of the report."""
        return {
            "in_flight": self.in_flight,
            "calls": self.calls,
            "per_second": round(self.per_second, 1),
            "p50_ms": round(self.percentile(0.50), 3),
            "p95_ms": round(self.percentile(0.95), 3),
            "p99_ms": round(self.percentile(0.99), 3),
        }


def joined(runs: Sequence[Run]) -> Run:
    """What was measured in parts, as one run."""
    return Run(
        runs[0].in_flight,
        sum(run.calls for run in runs),
        sum(run.seconds for run in runs),
        tuple(latency for run in runs for latency in run.latencies_ms),
    )


async def drive(call: Callable[[str], Awaitable[object]], arguments: Sequence[str], *, in_flight: int) -> Run:
    """Calls once for each argument; the first `in_flight` calls warm up and are not counted."""
    work: Iterator[str] = iter(arguments)
    await asyncio.gather(*(call(argument) for argument in itertools.islice(work, in_flight)))
    latencies: list[float] = []

    async def caller() -> None:
        for argument in work:
            began = time.perf_counter()
            await call(argument)
            latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return Run(in_flight, len(latencies), time.perf_counter() - began, tuple(latencies))
