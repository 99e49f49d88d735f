"""A program that applies events in children of its own, each of which dies at the crash point it was given.

One process learns to apply, which takes a second; each death then takes no longer than what it interrupts.
"""

import asyncio
import os
import pickle
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ledger.api.decode import decoder
from ledger.api.event_handler import EventHandler
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from poolkit.crashpoints import arm
from poolkit.database import Database
from poolkit.inbox import ReceivedEvent


async def apply(url: str, events: Sequence[ReceivedEvent]) -> None:
    """Applies them as one batch."""
    database, decode = Database(url, application_name="mortal"), decoder("test")
    apply_events = ApplyEvents(database, AccountDirectory(database), decode)
    await EventHandler(database, apply_events, decode)(list(events))
    await database.close()


def die_as_told(url: str) -> None:
    """Reads crash points and events, line by line; has a child die at each, and says how it ended."""
    for line in sys.stdin:
        point, _, text = line.partition(" ")
        child = os.fork()
        if not child:
            arm(point)
            asyncio.run(apply(url, pickle.loads(bytes.fromhex(text))))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


class Mortals:
    """Appliers that die one after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def apply(self, point: str, events: Sequence[ReceivedEvent]) -> int:
        """The exit status of one that applies these events as a batch; -9 when it came to the point."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{point} {pickle.dumps(list(events)).hex()}\n".encode())
        await self._process.stdin.drain()
        async with asyncio.timeout(20):
            return int(await self._process.stdout.readline())


@asynccontextmanager
async def mortals(url: str) -> AsyncIterator[Mortals]:
    """Appliers on this database, none of which is left behind."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, url, stdin=pipe, stdout=pipe)
    try:
        yield Mortals(process)
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    die_as_told(sys.argv[1])
