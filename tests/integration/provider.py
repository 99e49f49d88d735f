"""A settlement provider's status API on a socket of its own, which answers as a test tells it to."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from poolkit.ids import new_id

Answer = Callable[[web.Request], Any]


def report(trade: dict[str, Any], kind: str = "settled", **changed: Any) -> dict[str, Any]:
    """What a provider tells of a trade, as it would post it."""
    event = {
        "eventId": new_id("evt"),
        "kind": f"trade.{kind}",
        "transactId": trade["transactId"],
        "occurredAt": "2026-11-22T10:00:00Z",
    }
    if kind == "settled":
        event |= {"networkTransactionId": "0xabc", "cryptoCurrency": "USDT", "cryptoAmount": trade["cryptoAmount"]}
    return event | changed


class Provider:
    """Answers about trades; counts who asked. It has heard of none until told."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[str] = Counter()
        self.asked_together_most = 0
        self.release = asyncio.Event()
        self.authorization = ""
        self._answers: dict[str, bytes] = {}
        self._slow: set[str] = set()
        self._statuses: dict[str, int] = {}
        self._under_way = 0

    def tell(self, trade_id: str, *events: dict[str, Any], about: str = "") -> None:
        """From now on it reports these events."""
        body = {"transactId": about or trade_id, "status": "whatever", "events": events, "unknown": "field"}
        self._answers[trade_id] = json.dumps(body).encode()

    def answer(self, trade_id: str, body: bytes, status: int = 200) -> None:
        """From now on it answers these bytes."""
        self._answers[trade_id], self._statuses[trade_id] = body, status

    def hang(self, trade_id: str) -> None:
        """From now on it does not answer about this trade until it is released."""
        self._slow.add(trade_id)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One question."""
        trade_id = request.match_info["trade_id"]
        self.asked[trade_id] += 1
        self.authorization = request.headers.get("Authorization", "")
        self._under_way += 1
        self.asked_together_most = max(self.asked_together_most, self._under_way)
        try:
            if trade_id in self._slow:
                await self.release.wait()
            if trade_id not in self._answers:
                return web.json_response({"error": "no such trade"}, status=404)
            status = self._statuses.get(trade_id, 200)
            headers = {"Location": f"{self.url}/v1/trades/elsewhere"} if status == 302 else {}
            return web.Response(body=self._answers[trade_id], status=status, headers=headers)
        finally:
            self._under_way -= 1


@asynccontextmanager
async def serving_provider() -> AsyncIterator[Provider]:
    """A provider that listens."""
    provider = Provider()
    application = web.Application()
    application.router.add_get("/v1/trades/{trade_id}", provider.handle)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        provider.release.set()
        await runner.cleanup()
