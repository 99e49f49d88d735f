"""The quote service as a process of its own, started from environment variables alone."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from poolctl.stack.health import is_serving
from poolctl.stack.ports import free_port
from pools_contracts.quote import QuoteClient, connect
from tests.waiting import eventually


@dataclass
class Running:
    """A process and the way to it."""

    process: asyncio.subprocess.Process
    client: QuoteClient

    async def ended(self) -> int:
        """The exit status; -9 when a crash point was reached."""
        return await asyncio.wait_for(self.process.wait(), 30)


@contextlib.asynccontextmanager
async def quote_service(database_url: str, kafka: str, **environment: str) -> AsyncIterator[Running]:
    """The service, ready; killed at the end if it still runs."""
    rpc, health, metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "quote",
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env={
            "PATH": os.defpath,
            "POOLS_MODE": "test",
            "POOLS_DATABASE_URL": database_url,
            "POOLS_KAFKA_BOOTSTRAP": kafka,
            "POOLS_GRPC_LISTEN": rpc,
            "POOLS_HEALTH_LISTEN": health,
            "POOLS_METRICS_LISTEN": metrics,
            **environment,
        },
    )
    client = connect(rpc, caller="test")
    try:
        await eventually(lambda: is_serving(health), "the quote service is ready", seconds=60)
        yield Running(process, client)
    finally:
        await client.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
