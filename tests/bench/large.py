"""`make bench-large`: how long support's search takes among very many rows; writes build/bench-large.json.

One journey is made as a partner makes it, quote to webhook, on a stack of its own; then all that five services keep of
it is copied in SQL, `TRADES` times. 400,000 trades are ten million rows and some 6 GB.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from pools.gateway.v1 import admin_pb2
from pools_contracts.gateway import GatewayClient, connect
from tests.bench.clones import REPEATED, Template, copy
from tests.bench.cpu import cpu_seconds, difference
from tests.bench.journeys import Receiver, subscribe
from tests.bench.stand import SETTLED, Stand, stand
from tests.waiting import eventually

TRADES = 400_000
CALLS = 200
IDLE_SECONDS = 5
P50_MS_MAX = 100
REPORT = Path("build/bench-large.json")
SERVICES = ("quote", "trade", "webhook-ingest", "ledger", "gateway")

# Rows that can be made again need no protection from a power cut.
FAST_LOADING = (
    "fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '16GB'",
    "autovacuum = off",
)  # fmt: skip
_SIZES = """
SELECT relname, pg_total_relation_size(oid) AS bytes, reltuples::bigint AS rows FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 0
"""


def say(words: str) -> None:
    """Progress, for the person who waits."""
    print(f"bench-large {time.strftime('%H:%M:%S')}  {words}", flush=True)


async def run(trades: int) -> dict[str, Any]:
    """Fills the databases and searches."""
    say("starting a stack")
    async with stand(FAST_LOADING) as own:
        gateway = connect(own.addresses["services"]["gateway"], caller="bench")
        template = await _template(own, gateway)
        began = time.perf_counter()
        for service in SERVICES:
            say(f"copying {service}")
            await copy(own.addresses["adminDatabases"][service], template, trades, say)
        filled = time.perf_counter() - began
        sizes = {service: await _size(own.addresses["adminDatabases"][service]) for service in SERVICES}
        rows = sum(size["rows"] for size in sizes.values())
        gigabytes = sum(size["bytes"] for size in sizes.values()) / 1e9
        say(f"{trades:,} trades: {rows:,} rows, {gigabytes:.1f} GB, filled in {filled:.0f} s; searching")
        searched = await _search(own, gateway, template, trades)
        await gateway.close()
    return {
        "trades": trades,
        "rows": rows,
        "gigabytes": round(gigabytes, 2),
        "fill_seconds": round(filled),
        "databases": sizes,
        "find_journey_ms": searched,
    }


async def _template(own: Stand, gateway: GatewayClient) -> Template:
    """A journey from quote to webhook, once all of it is on record."""
    receiver = Receiver()
    runner = await receiver.start()
    try:
        await subscribe(own, receiver.url)
        partner = own.partners[0]
        reference = f"order-{partner.organization_id.removeprefix('org_')}"
        quote_id = await own.quote(partner, SETTLED, reference)
        own.owner_of[quote_id] = partner
        trade_id = await own.transact(quote_id)
        await eventually(lambda: trade_id in receiver.trades, "the partner was told", seconds=30)

        async def whole() -> admin_pb2.FindJourneyResponse | None:
            told = await gateway.support.FindJourney(admin_pb2.FindJourneyRequest(id=trade_id))
            kinds = {(record.service, record.kind) for record in told.records}
            calls = sum(record.kind == "api_call" for record in told.records)
            # The daily close is all that is left to wait for.
            ended = len(told.awaited) == 1 and {("ledger", "entry"), ("gateway", "attempt")} <= kinds
            return told if ended and calls == 2 else None

        told = await eventually(whole, "all of it is on record", seconds=30)
    finally:
        await runner.cleanup()
    kept = ("organization", "preload_request")
    ids = {value for one in told.records for name, value in one.ids.items() if name not in kept}
    return Template(trade_id, reference, frozenset(ids))


async def _size(url: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(_SIZES)
    finally:
        await connection.close()
    return {"rows": sum(row["rows"] for row in found), "bytes": sum(row["bytes"] for row in found)}


async def _search(own: Stand, gateway: GatewayClient, template: Template, trades: int) -> dict[str, dict[str, float]]:
    """One search at a time, each for another trade, so that nothing was read before."""
    wanted = {"trade": template.trade_id, "client reference": template.client_reference}
    for prefix in ("pq_", "ledger_", "whd_", "whe_"):
        wanted[prefix] = next(id_ for id_ in template.ids if id_.startswith(prefix))
    measured = {}
    pids = {name: own.stack.part(name).process.pid or 0 for name in (*SERVICES, "postgres")}
    idle = await _idle_cpu(pids)
    for kind, id_ in wanted.items():
        took = []
        before, since = cpu_seconds(pids), time.perf_counter()
        for _ in range(CALLS):
            number = random.randrange(1, trades)
            number += number % 100 == 0
            began = time.perf_counter()
            told = await gateway.support.FindJourney(admin_pb2.FindJourneyRequest(id=template.copied(id_, number)))
            took.append((time.perf_counter() - began) * 1000)
            if told.record.transact_id != template.copied(template.trade_id, number) or told.missing_services:
                raise RuntimeError(f"{template.copied(id_, number)} did not lead to its whole journey: {told}")
        used = sum(difference(before, cpu_seconds(pids)).values()) - idle * (time.perf_counter() - since)
        measured[kind] = {**_figures(took), "cpu_ms": round(used / CALLS * 1000, 1)}
        say(f"  {kind}: {measured[kind]}")
    took, token = [], ""
    for _ in range(CALLS // 4):
        began = time.perf_counter()
        page = await gateway.support.FindJourney(admin_pb2.FindJourneyRequest(id=REPEATED, page_token=token))
        took.append((time.perf_counter() - began) * 1000)
        token = page.next_page_token
    measured["page of a reference that comes again"] = _figures(took)
    return measured


async def _idle_cpu(pids: Mapping[str, int]) -> float:
    """What the stack uses a second while nobody asks for anything, in CPU seconds."""
    before = cpu_seconds(pids)
    await asyncio.sleep(IDLE_SECONDS)
    return sum(difference(before, cpu_seconds(pids)).values()) / IDLE_SECONDS


def _figures(took: list[float]) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "first": round(took[0], 1),
        "p50": round(statistics.median(took), 1),
        "p95": round(ordered[int(len(ordered) * 0.95)], 1),
    }


def main() -> None:
    """Runs, prints and writes."""
    measured = uvloop.run(run(int(sys.argv[1]) if sys.argv[1:] else TRADES))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(measured, indent=2) + "\n")
    for kind, figures in measured["find_journey_ms"].items():
        print(f"  {kind:40} p50 {figures['p50']:7} ms   p95 {figures['p95']:7} ms")
    print(f"a trade's journey must take less than {P50_MS_MAX} ms; written to {REPORT}")


if __name__ == "__main__":
    main()
