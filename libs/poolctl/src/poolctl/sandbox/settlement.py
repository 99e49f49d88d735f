"""Owns the simulated settlement provider: it hears of reserved trades and posts signed webhooks, at least once."""

import asyncio
import json
import time
from typing import Final

import aiohttp
import structlog

from poolctl.sandbox.outcomes import Report, reports_of
from poolctl.stack.sources import SETTLEMENT_SOURCE
from poolkit.errors import Unavailable
from poolkit.received import ReceivedEvent
from poolkit.security import sign_standard
from poolkit.telemetry.tracing import current_traceparent, span
from pools.events.v1 import events_pb2

log = structlog.get_logger(__name__)

IN_FLIGHT_MAX: Final = 64
TRIES_MAX: Final = 8
_PAUSE_SECONDS: Final = 0.1


class SettlementProvider:
    """Tells webhook-ingest what became of each trade; the destination address, or the reference of a sale, decides."""

    def __init__(self, http: aiohttp.ClientSession, webhooks_url: str, secret: str) -> None:
        self._http = http
        self._url = f"{webhooks_url.rstrip('/')}/v1/webhooks/{SETTLEMENT_SOURCE}"
        self._secrets = [secret]
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def hear(self, events: list[ReceivedEvent]) -> None:
        """Reports on every trade of the batch. Raises Unavailable when the door stays shut: it comes again."""
        await asyncio.gather(*(self._settle(event) for event in events))

    async def _settle(self, event: ReceivedEvent) -> None:
        trade = events_pb2.TradeReserved.FromString(event.payload).trade
        for report in reports_of(trade):
            async with self._slots:
                with span("sandbox.settle", traceparent=event.traceparent, kind="client", request_id=event.request_id):
                    await self._post(report, event.request_id)

    async def _post(self, report: Report, request_id: str) -> None:
        body = json.dumps(report.body, separators=(",", ":")).encode()
        for attempt in range(TRIES_MAX):
            headers = {
                **sign_standard(self._secrets, report.event_id, int(time.time()), body),
                "content-type": "application/json",
                "traceparent": current_traceparent(),
                "x-request-id": request_id,
            }
            try:
                async with self._http.post(self._url, data=body, headers=headers) as answer:
                    if answer.status < 500 and answer.status != 429:
                        if answer.status >= 400:
                            log.error("report_refused", event_id=report.event_id, status=answer.status)
                        return
            except (aiohttp.ClientError, TimeoutError) as failure:
                log.debug("report_not_taken", event_id=report.event_id, error=repr(failure))
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        raise Unavailable
