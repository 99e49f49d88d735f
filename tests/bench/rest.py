"""Measures REST by the CPU of the gateway's process alone, beside a bare endpoint of the same framework, interleaved.

What the gateway's colleagues use for a call is in the other figures; here it is what the partner's door itself costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import median
from typing import Any

from tests.bench.cpu import own_cpu_seconds
from tests.bench.load import drive
from tests.bench.raw_http import RawHttp, request
from tests.bench.stand import AMOUNT, STUCK, Stand
from tests.waiting import eventually

ROUNDS = 9
CALLS = 2000
IN_FLIGHT = 64
IN_FLIGHT_MAX = 256
READS = ("list_pools", "get_trade")
ORDER = {
    "side": "on_ramp",
    "amount": AMOUNT,
    "amountCurrency": "EUR",
    "network": "tron",
    "destinationAddress": STUCK,
    "clientReference": "bench",
}

Call = Callable[[str], Awaitable[object]]
Spent = dict[tuple[str, int, str], list[float]]
"""Microseconds of CPU a call, a round each, by what was called, how many at once, and which side."""


class Door:
    """The four calls at one address, as the stand's partners make them."""

    def __init__(self, stand: Stand, base: str) -> None:
        self.http = RawHttp(base)
        self._stand = stand
        keys = [partner.secret_key for partner in stand.partners]
        order = "/v1/pools/EUR-USDT/quote"
        self._lists = itertools.cycle([request("GET", "/v1/pools", key) for key in keys])
        self._orders = itertools.cycle([request("POST", order, key, ORDER) for key in keys])
        self._trade = b""

    def reads(self, trade_id: str, key: str) -> None:
        """Which trade `get_trade` reads, as whom."""
        self._trade = request("GET", f"/v1/pools/trades/{trade_id}", key)

    async def list_pools(self, _: str) -> bytes:
        return await self.http.send(next(self._lists))

    async def get_trade(self, _: str) -> bytes:
        return await self.http.send(self._trade)

    async def quote(self, _: str) -> bytes:
        return await self.http.send(next(self._orders))

    async def transact(self, quote_id: str) -> bytes:
        owner = self._stand.owner_of.get(quote_id, self._stand.partners[0])
        path, key = "/v1/pools/EUR-USDT/transact", f"Idempotency-Key: {quote_id}"
        return await self.http.send(request("POST", path, owner.secret_key, {"quoteId": quote_id}, key))


@contextlib.asynccontextmanager
async def bare(answers: dict[str, Any]) -> AsyncIterator[tuple[str, int]]:
    """The bare endpoint as a process of its own: its address and its pid."""
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, "-m", "tests.bench.bare_http")
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        process.stdin.write(json.dumps(answers).encode() + b"\n")
        await process.stdin.drain()
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        await process.wait()


async def measure(stand: Stand, gateway_pid: int, say: Callable[[str], None]) -> dict[str, Any]:
    """CPU a call, medians of interleaved rounds, and the ratios of the reads to the bare endpoint."""
    ours = Door(stand, stand.addresses["rest"])
    (quote_id,) = await stand.make_quotes(1, in_flight=1)
    trade = json.loads(await ours.transact(quote_id))
    ours.reads(trade["transactId"], stand.owner_of[quote_id].secret_key)
    answers = {
        "list_pools": json.loads(await ours.list_pools("")),
        "get_trade": trade,
        "quote": json.loads(await ours.quote("")),
        "transact": trade,
    }
    spent: Spent = {}
    async with bare(answers) as (base, bare_pid):
        theirs = Door(stand, base)
        theirs.reads(trade["transactId"], stand.owner_of[quote_id].secret_key)
        await eventually(lambda: _serves(theirs), "the bare endpoint serves")
        crowds = [(name, IN_FLIGHT) for name in answers] + [(name, IN_FLIGHT_MAX) for name in READS]
        for turn, (name, in_flight) in itertools.product(range(ROUNDS), crowds):
            for side, door, pid in (("bare", theirs, bare_pid), ("gateway", ours, gateway_pid)):
                made = name == "transact" and side == "gateway"
                arguments = await stand.make_quotes(CALLS) if made else ["pq_test_none"] * CALLS
                cost = await _cpu_us(getattr(door, name), arguments, pid, in_flight)
                spent.setdefault((name, in_flight, side), []).append(cost)
            us = {side: spent[name, in_flight, side][-1] for side in ("bare", "gateway")}
            say(
                f"rest, round {turn + 1}: {name:10} {in_flight:3} in flight "
                f"gateway {us['gateway']:4.0f} µs CPU a call, bare {us['bare']:4.0f}"
            )
        theirs.http.close()
    ours.http.close()
    cost = {(name, side): median(spent[name, IN_FLIGHT, side]) for name in answers for side in ("bare", "gateway")}
    return {
        "ratios": {
            **{f"rest_{name}": _ratio(spent, name, IN_FLIGHT) for name in READS},
            **{f"rest_{name}_{IN_FLIGHT_MAX}": _ratio(spent, name, IN_FLIGHT_MAX) for name in READS},
        },
        "per_cpu_second": {f"{side}_{name}": round(1e6 / us) for (name, side), us in cost.items()},
        "cpu_us": {"_".join(map(str, key)): [round(us, 1) for us in values] for key, values in spent.items()},
    }


def _ratio(spent: Spent, name: str, in_flight: int) -> float:
    """The median of the rounds' own ratios: what else the machine does slows both sides of one round alike."""
    rounds = zip(spent[name, in_flight, "bare"], spent[name, in_flight, "gateway"], strict=True)
    return round(median(bare / gateway for bare, gateway in rounds), 3)


async def _cpu_us(call: Call, arguments: list[str], pid: int, in_flight: int) -> float:
    """The process's CPU for each call, in microseconds; the first calls warm up, and count as well."""
    before = own_cpu_seconds(pid)
    await drive(call, arguments, in_flight=in_flight)
    return (own_cpu_seconds(pid) - before) / len(arguments) * 1e6


async def _serves(door: Door) -> bool:
    try:
        return bool(await door.list_pools(""))
    except OSError:
        return False
