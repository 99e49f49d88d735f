"""Owns a partner's end of webhooks on this machine: it takes what the off-the-shelf verifier lets through, no more."""

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True, slots=True)
class Received:
    """A webhook whose signature was verified."""

    event_id: str
    type: str
    body: dict[str, Any]
    headers: dict[str, str]
    received_at: float
    """By `time.monotonic`."""

    @property
    def trade(self) -> dict[str, Any]:
        """The trade as of the transition."""
        view: dict[str, Any] = self.body["data"]
        return view


class WebhookReceiver:
    """Listens on a free port of loopback. Each endpoint has a path of its own and trusts one secret."""

    def __init__(self) -> None:
        self.refused_count = 0
        self._verifiers: dict[str, Webhook] = {}
        self._by_trade: dict[str, list[Received]] = defaultdict(list)
        self._arrivals: dict[str, asyncio.Event] = {}
        self._runner: web.AppRunner | None = None
        self._base = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/hooks/{endpoint}", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, endpoint: str) -> str:
        """Where the webhooks of an endpoint, named as one likes, are to be posted."""
        return f"{self._base}/hooks/{endpoint}"

    def trust(self, endpoint: str, secret: str) -> None:
        """From now on the endpoint takes what is signed with the secret; before, it takes nothing."""
        self._verifiers[endpoint] = Webhook(secret)

    async def event_of(self, trade_id: str, *, seconds: float) -> Received:
        """The first webhook of a trade, which may have come already. Raises TimeoutError."""
        if not self._by_trade.get(trade_id):
            arrival = self._arrivals.setdefault(trade_id, asyncio.Event())
            try:
                async with asyncio.timeout(seconds):
                    await arrival.wait()
            finally:
                self._arrivals.pop(trade_id, None)
        return self._by_trade[trade_id][0]

    def events_of(self, trade_id: str) -> list[Received]:
        """Every webhook of a trade so far, repeats included."""
        return list(self._by_trade.get(trade_id, ()))

    def forget(self, trade_id: str) -> None:
        """Drops what was kept of a trade, for those who watch very many."""
        self._by_trade.pop(trade_id, None)

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        verifier = self._verifiers.get(request.match_info["endpoint"])
        try:
            if verifier is None:
                raise WebhookVerificationError("this endpoint trusts no secret yet")
            verifier.verify(raw, headers)
        except WebhookVerificationError:
            self.refused_count += 1
            return web.Response(status=401)
        body = json.loads(raw)
        received = Received(headers["webhook-id"], body["type"], body, headers, time.monotonic())
        trade_id = body["data"]["transactId"]
        self._by_trade[trade_id].append(received)
        if trade_id in self._arrivals:
            self._arrivals[trade_id].set()
        return web.Response(status=200)
