"""Owns the ending of what a killed supervisor left behind: found by pid file and start time, never by name."""

import asyncio
import signal
from pathlib import Path

from poolctl.stack.layout import Layout
from poolctl.stack.process import stop_orphan

_GRACE_SECONDS = 15.0


async def stop_orphans(layout: Layout) -> list[str]:
    """Ends every part still alive, programs before broker and database; answers their names."""
    ended = await _stop_all(sorted(layout.run.glob("*.pid")), signal.SIGTERM)
    ended += await _stop_all(sorted(layout.kafka.glob("*.pid")), signal.SIGTERM)
    # SIGTERM would let PostgreSQL wait for its clients; SIGINT sends them away.
    return ended + await _stop_all(sorted(layout.postgres.glob("*.pid")), signal.SIGINT)


async def _stop_all(pid_files: list[Path], stop_signal: int) -> list[str]:
    stopped = await asyncio.gather(
        *(stop_orphan(file, stop_signal=stop_signal, grace_seconds=_GRACE_SECONDS) for file in pid_files)
    )
    return [file.stem for file, orphan in zip(pid_files, stopped, strict=True) if orphan is not None]
