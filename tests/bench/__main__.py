"""`make bench`: measures the product beside a floor in one run, prints a table, and writes build/bench.json.

Figures of one machine mean little; the ratios carry over. Nothing here is a test: a slow machine fails nobody.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import journeys, ledger_apply, rest, tracing, transact
from tests.bench.cpu import resident_megabytes
from tests.bench.report import print_table
from tests.bench.stand import Stand, floor, stand

REPORT = Path("build/bench.json")


def say(words: str) -> None:
    """Progress, for the person who waits."""
    print(f"bench {time.strftime('%H:%M:%S')}  {words}", flush=True)


async def run() -> dict[str, Any]:
    """Everything, one after the other, on one stack."""
    say("starting a stack and a floor")
    async with stand() as own:
        pids = _pids(own)
        await asyncio.sleep(3)
        memory = resident_megabytes(pids)
        say("memory at rest, MB: " + ", ".join(f"{name} {held:.0f}" for name, held in memory.items()))
        async with floor(own.stack.postgres.url()) as bare:
            transacted = await transact.measure(own, bare, say)
        over_rest = await rest.measure(own, pids["gateway"], say)
        journeyed = await journeys.measure(own, pids, say)
        alone = await journeys.terminal_to_ledger_ms(own)
        say(f"terminal to ledger, one at a time: {alone}")
        say("applying events to a ledger of its own")
        applied = await ledger_apply.measure(own.stack.postgres, say)
    say("transacts with traces and without, on two stacks")
    traced = await tracing.measure(say)
    return {
        "ratios": {
            **transacted["ratios"],
            **over_rest["ratios"],
            "ledger_row_floor": round(applied["ratio"], 3),
            **traced["ratios"],
        },
        "rest_per_cpu_second": over_rest["per_cpu_second"],
        "journeys_per_second": journeyed["journeys_per_second"],
        "journeys_per_cpu_second": journeyed["journeys_per_cpu_second"],
        "ledger_events_per_second": round(applied["events_per_second"]),
        "terminal_to_ledger_p50_ms": alone["p50"],
        "memory_mb": {name: round(held, 1) for name, held in memory.items()},
        "raw": {
            "transact": transacted,
            "rest": over_rest,
            "journeys": journeyed,
            "ledger": applied,
            "terminal_to_ledger": alone,
            "tracing": traced,
        },
    }


def _pids(own: Stand) -> dict[str, int]:
    names = ("gateway", "quote", "trade", "webhook-ingest", "ledger", "sandbox", "postgres", "kafka")
    return {name: own.stack.part(name).process.pid or 0 for name in names}


def main() -> None:
    """Runs, prints and writes."""
    measured = uvloop.run(run())
    print_table(measured)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(measured, indent=2) + "\n")
    print(f"written to {REPORT}")


if __name__ == "__main__":
    main()
