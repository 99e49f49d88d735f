"""Owns what `poolctl status` answers: per part whether it runs and serves now, asked of the system and of the part."""

import asyncio
from pathlib import Path
from typing import Any

from poolctl.stack.health import is_listening, is_serving
from poolctl.stack.layout import Layout
from poolctl.stack.lock import StackLock
from poolctl.stack.process import ProcessIdentity
from poolctl.stack.state import PartRecord, StackState


async def status_of(layout: Layout) -> dict[str, Any]:
    """`running` says whether somebody supervises the stack; a killed supervisor's parts still show while they live."""
    state = StackState.read(layout.state_file)
    supervised = StackLock(layout.lock_file).is_held_by_another()
    parts = state.parts if state is not None else {}
    answers = await asyncio.gather(*(_status_of_part(record) for record in parts.values()))
    return {
        "dataDir": str(layout.data_dir),
        "running": supervised,
        "phase": _phase(state, supervised=supervised),
        "pid": state.supervisor.pid if state is not None and supervised else None,
        "parts": dict(zip(parts, answers, strict=True)),
    }


def _phase(state: StackState | None, *, supervised: bool) -> str:
    if state is None:
        return "stopped"
    if not supervised and state.phase in ("starting", "running", "stopping"):
        return "killed"
    return state.phase


async def _status_of_part(record: PartRecord) -> dict[str, Any]:
    process = ProcessIdentity.read(Path(record.pid_file))
    running = process is not None and process.alive
    ready = running and await (is_serving(record.health) if record.health else is_listening(record.port))
    return {
        "running": running,
        "ready": ready,
        "pid": process.pid if process is not None and running else None,
        "version": record.version,
        "port": record.port,
    }
