"""Owns the provider's HTTP port: what became of a trade, for who asks, and whether the sandbox works.

`GET /v1/trades/{id}` answers `{"transactId", "status", "events"}`: `pending` until there is something to report, else
the last status reported, with the very bodies of the webhooks in the order they are posted. 404 for a trade it never
heard of.
"""

import json
from collections.abc import Callable

from aiohttp import web

from poolctl.sandbox.outcomes import RETURNED
from poolctl.sandbox.settlement import SettlementProvider


class ProviderApi:
    """An HTTP server on `host:port`; `ready` says whether rates are fresh, pools filled and trades heard."""

    def __init__(self, provider: SettlementProvider, ready: Callable[[], bool], listen: str) -> None:
        self._provider = provider
        self._ready = ready
        self._listen = listen
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Begins to listen. Raises OSError when the port is taken."""
        application = web.Application()
        application.router.add_get("/v1/trades/{transact_id}", self._trade)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/readyz", self._readiness)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        site = web.TCPSite(self._runner, host.strip("[]"), int(port))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Takes no more requests and ends."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _trade(self, request: web.Request) -> web.Response:
        transact_id = request.match_info["transact_id"]
        reports = self._provider.reports_on(transact_id)
        if reports is None:
            return web.json_response({"error": "no such trade"}, status=404)
        # Each event once, however often it was posted.
        events = {report.event_id: report for report in reports}
        kinds = [report.kind for report in events.values()]
        last = RETURNED if RETURNED in kinds else kinds[-1] if kinds else "trade.pending"
        return web.json_response(
            {
                "transactId": transact_id,
                "status": last.removeprefix("trade."),
                "events": [json.loads(report.body) for report in events.values()],
            }
        )

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readiness(self, _: web.Request) -> web.Response:
        ready = self._ready()
        return web.json_response({"ready": ready}, status=200 if ready else 503)
