"""Measures whole journeys, quote to partner webhook: how many a second and a CPU-second, and how long posting takes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
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
        await _subscribe(stand, receiver.url)
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


async def terminal_to_ledger_ms(stand: Stand) -> dict[str, float]:
    """From the commit that made a trade terminal to the commit that posted it, by the rows' own times."""
    told = await _rows(
        stand, "trade", "SELECT event_id, created_at FROM outbox WHERE topic = 'pools.trade.terminal.v1'"
    )
    posted = await _rows(stand, "ledger", "SELECT event_id, created_at FROM transactions")
    ends = {row["event_id"]: row["created_at"] for row in posted}
    waits = sorted(
        (ends[row["event_id"]] - row["created_at"]).total_seconds() * 1000 for row in told if row["event_id"] in ends
    )
    return {"p50": round(median(waits), 2), "p99": round(waits[int(len(waits) * 0.99)], 2), "events": len(waits)}


async def one_at_a_time(stand: Stand, count: int = 60) -> None:
    """Journeys without company, for the time a hop takes when nothing queues."""
    receiver = Receiver()
    runner = await receiver.start()
    try:
        await _run(stand, receiver, count, in_flight=1, wait_for_webhook=False)
    finally:
        await runner.cleanup()


async def _run(
    stand: Stand, receiver: Receiver, count: int, *, in_flight: int = IN_FLIGHT, wait_for_webhook: bool = True
) -> None:
    numbers = iter(range(count))
    trades: set[str] = set()

    async def caller() -> None:
        for number in numbers:
            partner = stand.partners[number % len(stand.partners)]
            quote_id = await stand.quote(partner, SETTLED, f"journey-{number}")
            stand.owner_of[quote_id] = partner
            trades.add(await stand.transact(quote_id))

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    if wait_for_webhook:
        await eventually(lambda: trades <= receiver.trades, "every partner was told", seconds=120)


async def _subscribe(stand: Stand, url: str) -> None:
    async with grpc.aio.insecure_channel(stand.addresses["services"]["gateway"]) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        for partner in stand.partners:
            await admin.CreateWebhookEndpoint(
                admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=url)
            )


async def _rows(stand: Stand, database: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(stand.addresses["adminDatabases"][database])
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()
