"""A small service as a process of its own, to be killed at a crash point: `python -m … relay|consume …`."""

import asyncio
import sys

import uvloop

from poolkit import crashpoints
from poolkit.database import Database
from poolkit.inbox import EventConsumer, ReceivedEvent
from poolkit.kafka import TRADE_TERMINAL, Producer
from poolkit.leases import Lease
from poolkit.relay import Relay
from tests.integration.poolkit.events import apply


async def run(part: str, url: str, bootstrap: str, mode: str, name: str, point: str) -> None:
    crashpoints.arm(point)
    database = Database(url, application_name="crashing")
    producer = Producer(bootstrap, client_id="crashing")
    if part == "relay":
        await Relay(database, producer, Lease(database, "relay", 1.0), mode).run()

    async def handler(events: list[ReceivedEvent]) -> None:
        await apply(database, events)

    await EventConsumer(
        name, [TRADE_TERMINAL], handler, bootstrap=bootstrap, mode=mode, dead_letter_producer=producer
    ).run()


async def run_until_killed(*arguments: str) -> int:
    """The exit status of this program with these arguments; -9 when the crash point was reached."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, *arguments)
    try:
        async with asyncio.timeout(30):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
