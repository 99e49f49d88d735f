"""Owns the simulated settlement provider: it hears of reserved trades, reports on each, and answers when asked."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from poolctl.sandbox.delivery import WebhookRefused, WebhookSender
from poolctl.sandbox.outcomes import Report, reports_of
from poolkit.received import ReceivedEvent
from poolkit.telemetry.tracing import current_traceparent, span
from pools.events.v1 import events_pb2

log = structlog.get_logger("poolctl.sandbox")

IN_FLIGHT_MAX: Final = 64
REMEMBERED_TRADES_MAX: Final = 50_000


class SettlementProvider:
    """Tells webhook-ingest what became of each trade; the destination address, or the reference of a sale, decides."""

    def __init__(self, sender: WebhookSender) -> None:
        self._sender = sender
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._reports: dict[str, Sequence[Report]] = {}

    async def hear(self, events: list[ReceivedEvent]) -> None:
        """Reports on every trade of the batch. Raises Unavailable when the door stays shut: it comes again."""
        tasks: list[asyncio.Task[None]] = []
        try:
            for event in events:
                # Taken here: hundreds of tasks that wait for one of 64 slots would be made for nothing.
                await self._slots.acquire()
                task = asyncio.create_task(self._settle(event))
                task.add_done_callback(self._free_slot)
                tasks.append(task)
            # Each to its end, so that what comes again is what was not taken, and little more.
            results = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        for result in results:
            if result is not None:
                raise result

    def reports_on(self, transact_id: str) -> Sequence[Report] | None:
        """What it has to say of a trade when asked: nothing of one it never heard of, or long ago."""
        return self._reports.get(transact_id)

    async def _settle(self, event: ReceivedEvent) -> None:
        try:
            trade = events_pb2.TradeReserved.FromString(event.payload).trade
        except DecodeError:
            log.error("reserved_trade_not_understood", event_id=event.event_id)
            return
        reports = reports_of(trade)
        self._remember(trade.transact_id, reports)
        with span("sandbox.settle", traceparent=event.traceparent, kind="client", request_id=event.request_id):
            traceparent = current_traceparent()
            # One after the other: a provider that returns what it settled says so in this order.
            for report in reports:
                await self._report(report, event.request_id, traceparent)

    async def _report(self, report: Report, request_id: str, traceparent: str) -> None:
        try:
            await self._sender.send(report.event_id, report.body, request_id=request_id, traceparent=traceparent)
        except WebhookRefused as refused:
            log.error("report_refused", event_id=report.event_id, status=refused.status, request_id=request_id)

    def _remember(self, transact_id: str, reports: Sequence[Report]) -> None:
        if len(self._reports) >= REMEMBERED_TRADES_MAX:
            # The one heard of first.
            del self._reports[next(iter(self._reports))]
        self._reports[transact_id] = reports

    def _free_slot(self, _: asyncio.Task[None]) -> None:
        self._slots.release()
