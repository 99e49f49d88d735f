"""A ledger's consumer as a process of its own, to be killed: `python -m … URL BOOTSTRAP MODE POINT`."""

import asyncio
import sys

import uvloop

from ledger.api.decode import decoder
from ledger.api.event_handler import TOPICS, EventHandler
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from poolkit import crashpoints
from poolkit.database import Database
from poolkit.inbox import EventConsumer
from poolkit.kafka import Producer


async def consume(url: str, bootstrap: str, mode: str, point: str) -> None:
    """Applies events until killed."""
    crashpoints.arm(point)
    producer = Producer(bootstrap, client_id="replica")
    await make_consumer(Database(url, application_name="replica"), bootstrap, mode, producer).run()


def make_consumer(database: Database, bootstrap: str, mode: str, producer: Producer) -> EventConsumer:
    """The consumer as the service wires it; the broker's mode is the test's own, the events' is `test`."""
    decode = decoder("test")
    handler = EventHandler(database, ApplyEvents(database, AccountDirectory(database), decode), decode)
    return EventConsumer("ledger", TOPICS, handler, bootstrap=bootstrap, mode=mode, dead_letter_producer=producer)


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
    uvloop.run(consume(*sys.argv[1:]))
