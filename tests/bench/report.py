"""The table at the end of a bench run: each figure beside what it must reach and what it aims at."""

from __future__ import annotations

from typing import Any

ROWS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("transact p50 at 1 in flight / floor's", ("ratios", "transact_1_p50"), "≤ 8", ""),
    ("transact at 64, gRPC / floor", ("ratios", "transact_64"), "≥ 0.5", "≥ 1.0"),
    ("transact at 256, gRPC / floor", ("ratios", "transact_256"), "≥ 0.8", ""),
    ("transact at 64, REST / floor", ("ratios", "rest_transact_64"), "", "≥ 1.5"),
    ("transact at 256, REST / floor", ("ratios", "rest_transact_256"), "", ""),
    ("list pools a CPU-second at 64, REST / bare", ("ratios", "rest_list_pools"), "≥ 0.4", ""),
    ("list pools a CPU-second at 256, REST / bare", ("ratios", "rest_list_pools_256"), "≥ 0.4", ""),
    ("get trade a CPU-second at 64, REST / bare", ("ratios", "rest_get_trade"), "≥ 0.4", ""),
    ("get trade a CPU-second at 256, REST / bare", ("ratios", "rest_get_trade_256"), "≥ 0.4", ""),
    ("quotes a CPU-second of the gateway, REST", ("rest_per_cpu_second", "gateway_quote"), "", ""),
    ("transacts a CPU-second of the gateway, REST", ("rest_per_cpu_second", "gateway_transact"), "", ""),
    ("journeys a second", ("journeys_per_second",), "", ""),
    ("journeys a CPU-second of the services", ("journeys_per_cpu_second",), "", "≥ 200"),
    ("ledger events applied a second", ("ledger_events_per_second",), "≥ 2500", ""),
    ("ledger / bare rows", ("ratios", "ledger_row_floor"), "", "≥ 0.5"),
    ("transact at 64, traces sampled / off", ("ratios", "tracing_on_over_off"), "≥ 0.95", ""),
    ("its CPU a trade, sampled / off", ("ratios", "tracing_cpu_on_over_off"), "≤ 1.05", ""),
    ("terminal commit to ledger commit, p50 ms", ("terminal_to_ledger_p50_ms",), "≤ 15", ""),
)


def print_table(measured: dict[str, Any]) -> None:
    """Prints one line a figure."""
    print(f"\n{'':44}{'measured':>12}{'must':>10}{'aim':>10}")
    for label, path, must, aim in ROWS:
        value: Any = measured
        for step in path:
            value = value[step]
        print(f"{label:44}{value:>12}{must:>10}{aim:>10}")
    memory = measured["memory_mb"]
    print(f"{'memory at rest, largest Python service, MB':44}{_largest(memory):>12}{'≤ 120':>10}")
    print(f"{'memory at rest, whole stack, MB':44}{round(sum(memory.values())):>12}{'≤ 1300':>10}\n")


def _largest(memory: dict[str, float]) -> float:
    return max(held for name, held in memory.items() if name not in ("postgres", "kafka"))
