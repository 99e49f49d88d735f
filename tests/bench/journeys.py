"""Measures whole journeys, quote to partner webhook: how many a second and a CPU-second, and how long posting takes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from statistics import median
from typing import Any

import asyncpg
import grpc
from aiohttp import web

from pools.gateway.v1 import admin_pb2, admin_pb2_grpc
from tests.bench.cpu import cpu_seconds, difference
from tests.bench.stand import SETTLED, Stand
from tests.waiting import eventually

IN_FLIGHT = 64
JOURNEYS = 3000
_SERVICES = ("gateway", "quote", "trade", "webhook-ingest", "ledger")


class Receiver:
    """A partner's webhook endpoint: counts the trades it was told of."""

    def __init__(self) -> None:
        self.trades: set[str] = set()
        self.url = ""

    async def start(self) -> web.AppRunner:
        """Listens on loopback."""
        application = web.Application()
        application.router.add_post("/", self._receive)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        return runner

    async def _receive(self, request: web.Request) -> web.Response:
        self.trades.add(json.loads(await request.read())["data"]["transactId"])
        return web.Response()


async def measure(stand: Stand, pids: dict[str, int], say: Callable[[str], None]) -> dict[str, Any]:
    """Runs the journeys with a fixed number in flight until every partner was told, and reads each part's CPU."""
    receiver = Receiver()
    runner = await receiver.start()
    try:
        await subscribe(stand, receiver.url)
        await _run(stand, receiver, 200)
        before, began = cpu_seconds(pids), time.perf_counter()
        await _run(stand, receiver, JOURNEYS)
        seconds, used = time.perf_counter() - began, difference(before, cpu_seconds(pids))
    finally:
        await runner.cleanup()
    services = sum(used[name] for name in _SERVICES)
    everything = sum(used.values())
    say(f"{JOURNEYS} journeys in {seconds:.1f} s; CPU seconds: {', '.join(f'{k} {v:.1f}' for k, v in used.items())}")
    return {
        "journeys_per_second": round(JOURNEYS / seconds, 1),
        "journeys_per_cpu_second": round(JOURNEYS / services, 1),
        "journeys_per_cpu_second_with_database_and_broker": round(JOURNEYS / everything, 1),
        "cpu_ms_per_journey": {name: round(value / JOURNEYS * 1000, 3) for name, value in used.items()},
    }


async def terminal_to_ledger_ms(stand: Stand, count: int = 60) -> dict[str, float]:
    """From the commit that made a trade terminal to the commit that posted it, one journey at a time.

    By PostgreSQL's own commit timestamps, which the stand turns on.
    """
    trades = list(await _accept(stand, count, in_flight=1))

    async def posted() -> bool:
        return len(await _commits(stand, "ledger", _POSTED, trades)) == count

    await eventually(posted, "every trade is posted", seconds=60)
    terminal = await _commits(stand, "trade", _TERMINAL, trades)
    ends = await _commits(stand, "ledger", _POSTED, trades)
    waits = sorted((ends[trade] - at).total_seconds() * 1000 for trade, at in terminal.items())
    return {"p50": round(median(waits), 2), "p95": round(waits[int(len(waits) * 0.95)], 2), "events": len(waits)}


_TERMINAL = """
SELECT trade_id, pg_xact_commit_timestamp(xmin) AS committed_at FROM transitions
WHERE number = 1 AND trade_id = ANY($1::text[])
"""
_POSTED = (
    "SELECT trade_id, pg_xact_commit_timestamp(xmin) AS committed_at FROM transactions WHERE trade_id = ANY($1::text[])"
)


async def _commits(stand: Stand, database: str, query: str, trades: list[str]) -> dict[str, datetime]:
    connection = await asyncpg.connect(stand.addresses["adminDatabases"][database])
    try:
        return {row["trade_id"]: row["committed_at"] for row in await connection.fetch(query, trades)}
    finally:
        await connection.close()


async def _run(stand: Stand, receiver: Receiver, count: int) -> None:
    trades = await _accept(stand, count, in_flight=IN_FLIGHT)
    await eventually(lambda: trades <= receiver.trades, "every partner was told", seconds=120)


async def _accept(stand: Stand, count: int, *, in_flight: int) -> set[str]:
    numbers = iter(range(count))
    trades: set[str] = set()

    async def caller() -> None:
        for number in numbers:
            partner = stand.partners[number % len(stand.partners)]
            quote_id = await stand.quote(partner, SETTLED, f"journey-{number}")
            stand.owner_of[quote_id] = partner
            trades.add(await stand.transact(quote_id))

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return trades


async def subscribe(stand: Stand, url: str) -> None:
    """Has every partner's webhooks go there."""
    async with grpc.aio.insecure_channel(stand.addresses["services"]["gateway"]) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        for partner in stand.partners:
            await admin.CreateWebhookEndpoint(
                admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=url)
            )
