"""The demo on a stack of its own: it tells its story in time, and nothing of it stays, however it ends."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from tests.waiting import eventually


async def start_demo(folder: Path) -> asyncio.subprocess.Process:
    """`poolctl demo` with `folder` for its temporary files, its output not a terminal."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poolctl", "demo"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def processes_in(folder: Path) -> list[str]:
    """The command lines of every process that was told of the folder."""
    found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(words) for words in found if any(str(folder) in word for word in words)]


async def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path)
    stdout, stderr = await asyncio.wait_for(demo.communicate(), 120)
    lines = stdout.decode().splitlines()
    assert demo.returncode == 0, stderr.decode()
    assert stderr == b""
    assert lines[-1].startswith("demo: 100.00 EUR became 107.904009 USDT, settled")
    assert max(map(len, lines)) <= 120
    steps = [line.split()[1] for line in lines if line.startswith("✓")]
    assert steps == [
        "stack", "partner", "endpoint", "pay-in", "quote", "transact", "webhook", "ledger", "trial", "journey", "trace",
        "stop",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []


async def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path)
    try:
        await eventually(lambda: any("kafka.Kafka" in line for line in processes_in(tmp_path)), "Kafka is starting")
        demo.send_signal(signal.SIGINT)
        await asyncio.wait_for(demo.communicate(), 60)
    finally:
        if demo.returncode is None:
            demo.kill()
    assert demo.returncode not in (0, None)
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []
