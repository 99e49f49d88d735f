"""What tracing costs: transacts on a stack that samples as it does by default, beside one that records nothing.

`python -m tests.bench.tracing [ROUNDS]` does this alone. Both stacks run at once and take turns in short rounds, first
the one and then the other first, so that whatever else the machine does slows both alike; each round has its own ratio.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import uvloop

from poolctl.stack.programs import PROGRAMS
from tests.bench.cpu import cpu_seconds
from tests.bench.load import drive
from tests.bench.stand import Stand, stand

ROUNDS = 24
CALLS = 1000
IN_FLIGHT = 64
WARM_UP = 1500
SERVICES = ("gateway", "quote", "trade", "webhook-ingest", "ledger")
OFF = {program.name: {"POOLS_SPAN_DIRECTORY": "", "POOLS_TRACE_SAMPLES_PER_SECOND_MAX": "0"} for program in PROGRAMS}
"""No span store and no collector: trace ids flow, and nothing is recorded."""


async def measure(say: Callable[[str], None], rounds: int = ROUNDS) -> dict[str, Any]:
    """Throughput and CPU seconds a trade of either, and the medians of the rounds' ratios."""
    per_second: dict[str, list[float]] = {"on": [], "off": []}
    cpu_ms: dict[str, list[float]] = {"on": [], "off": []}
    async with contextlib.AsyncExitStack() as stacks:
        sides = {
            "on": await stacks.enter_async_context(stand()),
            "off": await stacks.enter_async_context(stand(environment=OFF)),
        }
        before = {side: _kept_bytes(own) for side, own in sides.items()}
        for own in sides.values():
            await _round(own, WARM_UP)
        for turn in range(rounds):
            order = ("on", "off") if turn % 2 == 0 else ("off", "on")
            for side in order:
                rate, spent = await _round(sides[side], CALLS)
                per_second[side].append(rate)
                cpu_ms[side].append(spent)
            say(
                f"tracing, round {turn + 1}: "
                + ", ".join(f"{side} {per_second[side][-1]:.0f}/s {cpu_ms[side][-1]:.3f} ms CPU" for side in per_second)
            )
        recorded = {side: _kept_bytes(own) - before[side] for side, own in sides.items()}
        assert recorded["on"] > 0 == recorded["off"], recorded
    return {
        "ratios": {
            "tracing_on_over_off": round(_ratio(per_second), 3),
            "tracing_cpu_on_over_off": round(_ratio(cpu_ms), 3),
        },
        "per_second": {side: [round(value, 1) for value in values] for side, values in per_second.items()},
        "cpu_ms_per_trade": {side: [round(value, 4) for value in values] for side, values in cpu_ms.items()},
    }


async def _round(own: Stand, calls: int) -> tuple[float, float]:
    """Accepts so many quotes: how many a second, and the services' CPU milliseconds for each."""
    quotes = await own.make_quotes(calls + IN_FLIGHT)
    pids = {name: own.stack.part(name).process.pid or 0 for name in SERVICES}
    with own.sandbox_standing_still():
        before = sum(cpu_seconds(pids).values())
        run = await drive(own.transact, quotes, in_flight=IN_FLIGHT)
        spent = sum(cpu_seconds(pids).values()) - before
    return run.per_second, spent / len(quotes) * 1000


def _kept_bytes(own: Stand) -> int:
    return sum(file.stat().st_size for file in own.stack.layout.spans.glob("*.jsonl"))


def _ratio(of: dict[str, list[float]]) -> float:
    return median(on / off for on, off in zip(of["on"], of["off"], strict=True))


async def _alone(rounds: int) -> None:
    measured = await measure(lambda words: print(words, flush=True), rounds)
    print(measured)


if __name__ == "__main__":
    uvloop.run(_alone(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
