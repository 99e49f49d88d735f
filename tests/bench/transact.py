"""Measures Transact through gateway, trade, quote and ledger beside the floor, interleaved in one run.

The sandbox, which stands for somebody else's machine, stands still while calls are measured: its part of the work is in
the journeys. The events it will act on are written and sent all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from pools.gateway.v1 import partner_pb2
from tests.bench.load import Run, drive, joined
from tests.bench.stand import Stand

ROUNDS = 5
SLICES = {1: 3, 64: 1, 256: 1}
"""In how many parts a round is measured, by calls in flight: few calls in a row meet the machine in a mood."""
WARM_UP = 2000
"""Calls before the first that counts: a stack that has just started still compiles and plans."""
REST_SECONDS = 0.7
"""Before each measurement: what the quotes before it left behind, such as rows of the request log, is theirs."""
CALLS = {1: 150, 64: 2500, 256: 4000}
"""Measured calls by calls in flight."""

Call = Callable[[str], Awaitable[object]]


async def measure(stand: Stand, floor: Any, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of interleaved rounds, the ratios to the floor, and every raw run."""

    async def bare(quote_id: str) -> object:
        return await floor(partner_pb2.TransactQuoteRequest(pool_id="EUR-USDT", quote_id=quote_id))

    paths: dict[str, Call] = {"floor": bare, "grpc": stand.transact, "rest": stand.transact_rest}
    runs: dict[tuple[str, int], list[Run]] = {}
    await drive(stand.transact, await stand.make_quotes(WARM_UP), in_flight=64)
    for turn in range(ROUNDS):
        for in_flight, calls in CALLS.items():
            slices: dict[str, list[Run]] = {path: [] for path in paths}
            for _ in range(SLICES[in_flight]):
                for path, call in paths.items():
                    count = calls // SLICES[in_flight] + in_flight
                    quotes = [f"floor-{n}" for n in range(count)] if path == "floor" else await stand.make_quotes(count)
                    await asyncio.sleep(REST_SECONDS)
                    with stand.sandbox_standing_still():
                        slices[path].append(await drive(call, quotes, in_flight=in_flight))
            for path, parts in slices.items():
                run = joined(parts)
                runs.setdefault((path, in_flight), []).append(run)
                say(
                    f"round {turn + 1}: {path:5} {in_flight:3} in flight {run.per_second:7.0f}/s "
                    f"p50 {run.percentile(0.5):6.2f} ms p99 {run.percentile(0.99):6.2f} ms"
                )
    rate = {key: median(run.per_second for run in of_key) for key, of_key in runs.items()}
    p50 = {key: median(run.percentile(0.5) for run in of_key) for key, of_key in runs.items()}
    return {
        "ratios": {
            "transact_1_p50": round(p50["grpc", 1] / p50["floor", 1], 2),
            "transact_64": round(rate["grpc", 64] / rate["floor", 64], 3),
            "transact_256": round(rate["grpc", 256] / rate["floor", 256], 3),
            "rest_transact_1_p50": round(p50["rest", 1] / p50["floor", 1], 2),
            "rest_transact_64": round(rate["rest", 64] / rate["floor", 64], 3),
            "rest_transact_256": round(rate["rest", 256] / rate["floor", 256], 3),
        },
        "per_second": {f"{path}_{in_flight}": round(value, 1) for (path, in_flight), value in rate.items()},
        "p50_ms": {f"{path}_{in_flight}": round(value, 2) for (path, in_flight), value in p50.items()},
        "runs": {f"{path}_{in_flight}": [run.as_json() for run in of] for (path, in_flight), of in runs.items()},
    }
