"""Running `poolctl` as a person or a script does: a process of its own, judged by its output and its exit status."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout, with nothing before or behind it."""
        return json.loads(self.stdout)


class Poolctl:
    """`await poolctl("payin", organization_id, …)`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def __call__(self, *words: str, data_dir: bool = True, seconds: float = 60) -> Ended:
        directory = ("--data-dir", str(self._data_dir)) if data_dir else ()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "poolctl", *words, *directory),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(seconds):
                stdout, stderr = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return Ended(process.returncode, stdout.decode(), stderr.decode())

    async def answer(self, *words: str) -> Any:
        """The document of a command that is to succeed."""
        ended = await self(*words, "--json")
        assert ended.status == 0, ended.stderr
        return ended.document
