"""Reads how much CPU each part of a stack has used, children included (PostgreSQL works in children)."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psutil


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system time of each part so far. Children that have ended count as far as the parent waited for them."""
    used: dict[str, float] = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        total = 0.0
        for part in (process, *process.children(recursive=True)):
            try:
                times = part.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        times = process.cpu_times()
        used[name] = total + times.children_user + times.children_system
    return used


def own_cpu_seconds(pid: int) -> float:
    """User and system time of one process so far, all its threads and none of its children.

    By the kernel's clock of that process, in nanoseconds: what /proc tells comes in ticks of 10 ms, which is 5 % of
    some thousand cheap calls.
    """
    # As clock_getcpuclockid(3) makes the clock's id of a pid: the scheduler's clock (2) of a process.
    return time.clock_gettime(~pid << 3 | 2)


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was used between two readings."""
    return {name: max(0.0, after[name] - before[name]) for name in before}


def resident_megabytes(pids: Mapping[str, int]) -> dict[str, float]:
    """Memory each part holds of its own: shared pages are split between those who share them."""
    held: dict[str, float] = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        total = 0
        for part in (process, *process.children(recursive=True)):
            try:
                total += part.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        held[name] = total / 1_000_000
    return held
