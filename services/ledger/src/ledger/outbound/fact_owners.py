"""Owns asking trade, webhook-ingest and quote for a date's facts; fulfils `app.close.ports.Owners`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from typing import Any, Final

import structlog

from ledger.app.close.ports import Findings, Published, Stock
from ledger.domain.close.merging import Pages
from ledger.outbound.facts import RECONCILED_OUT, amount_of, payin_fact, report_fact, trade_fact
from poolkit.context import current_request_id
from poolkit.errors import DeadlineExceeded, NotFound, Unavailable
from poolkit.rpc.channels import Channel
from poolkit.rpc.convert import MODES, error_from_refusal, from_time, to_time
from poolkit.telemetry.tracing import current_traceparent
from pools.quote.v1 import inventory_facts_pb2
from pools.trade.v1 import reconciliation_pb2, trade_facts_pb2
from pools.types.v1 import outbox_pb2, types_pb2
from pools.webhook_ingest.v1 import report_facts_pb2
from pools_contracts.quote import QuoteClient
from pools_contracts.trade import TradeClient
from pools_contracts.webhook_ingest import WebhookIngestClient

PAGE_FACTS: Final = 1_000
TRIES_MAX: Final = 5
"""How often in a row a stream is taken up again that breaks off without having brought anything new."""
PAUSE_SECONDS: Final = 0.5

log = structlog.get_logger(__name__)


class OwnersClient:
    """The three owners, over their channels."""

    def __init__(self, *, trade: Channel, webhook_ingest: Channel, quote: Channel, mode: str) -> None:
        self._trade = TradeClient(trade)
        self._webhook_ingest = WebhookIngestClient(webhook_ingest)
        self._quote = QuoteClient(quote)
        self._mode = mode

    def trade_facts(self, business_date: date, *, until: datetime | None) -> Pages:
        """Trades that ended on the date, before `until`, by trade id."""

        def ask(after: Any) -> Any:
            request = trade_facts_pb2.StreamTradeFactsRequest(
                context=self._context(),
                business_date=business_date.isoformat(),
                after_trade_id=after.trade_id if after else "",
                page_size=PAGE_FACTS,
                until_time=from_time(until) if until else None,
            )
            return self._trade.facts.StreamTradeFacts(request)

        return _pages("trade's terminal trades", ask, trade_fact)

    def open_trades(self, *, reserved_before: datetime) -> Pages:
        """Trades that are reserved still, by trade id."""

        def ask(after: Any) -> Any:
            request = trade_facts_pb2.StreamOpenTradesRequest(
                context=self._context(),
                reserved_before_time=from_time(reserved_before),
                after_trade_id=after.trade_id if after else "",
                page_size=PAGE_FACTS,
            )
            return self._trade.facts.StreamOpenTrades(request)

        return _pages("trade's open trades", ask, trade_fact)

    def report_facts(self, business_date: date) -> Pages:
        """Providers' reports of the date by trade id."""

        def ask(after: Any) -> Any:
            request = report_facts_pb2.StreamReportFactsRequest(
                context=self._context(),
                business_date=business_date.isoformat(),
                after_trade_id=after.trade_id if after else "",
                after_webhook_id=after.webhook_id if after else "",
                page_size=PAGE_FACTS,
            )
            return self._webhook_ingest.facts.StreamReportFacts(request)

        return _pages("webhook-ingest's reports", ask, report_fact)

    def payin_facts(self, business_date: date) -> Pages:
        """Banks' reports of the date by event id."""

        def ask(after: Any) -> Any:
            request = report_facts_pb2.StreamPayinFactsRequest(
                context=self._context(),
                business_date=business_date.isoformat(),
                after_event_id=after.event_id if after else "",
                after_webhook_id=after.webhook_id if after else "",
                page_size=PAGE_FACTS,
            )
            return self._webhook_ingest.facts.StreamPayinFacts(request)

        return _pages("webhook-ingest's pay-ins", ask, payin_fact)

    async def stocks(self, business_date: date) -> list[Stock]:
        """What lies in each pool at the end of the date."""
        request = inventory_facts_pb2.GetInventoryTotalsRequest(
            context=self._context(), business_date=business_date.isoformat()
        )
        answer = await self._quote.facts.GetInventoryTotals(request)
        return [Stock(each.pool_id, amount_of(each.total), each.movement_count) for each in answer.totals]

    async def published(self, business_date: date) -> list[Published]:
        """How far each owner of events is, asked at once."""
        request = outbox_pb2.GetOutboxWatermarkRequest(business_date=business_date.isoformat())
        owners = {
            "trade": self._trade.outbox,
            "webhook-ingest": self._webhook_ingest.outbox,
            "quote": self._quote.outbox,
        }

        async def ask(name: str, outbox: Any) -> Any:
            try:
                return await outbox.GetOutboxWatermark(request)
            except (Unavailable, DeadlineExceeded) as error:
                raise Unavailable(f"{name} does not say what it has published.") from error

        answers = await asyncio.gather(*(ask(name, outbox) for name, outbox in owners.items()))
        return [
            Published(
                name,
                answer.unpublished_events,
                to_time(answer.oldest_unpublished_time) if answer.HasField("oldest_unpublished_time") else None,
                answer.open_transactions,
            )
            for name, answer in zip(owners, answers, strict=True)
        ]

    async def set_states(self, told: Findings, states: Sequence[tuple[str, str]]) -> None:
        """Tells trades what a close found. An exception may name a trade that nobody knows."""
        request = reconciliation_pb2.SetReconciliationStatesRequest(
            context=self._context(told.request_id),
            business_date=told.business_date.isoformat(),
            revision=told.revision,
            close_id=told.close_id,
            items=[
                reconciliation_pb2.SetReconciliationStatesItem(trade_id=trade_id, state=RECONCILED_OUT[state])
                for trade_id, state in states
            ],
        )
        answer = await self._trade.reconciliation.SetReconciliationStates(request)
        for (trade_id, _), result in zip(states, answer.results, strict=True):
            if result.HasField("refusal"):
                error = error_from_refusal(result.refusal)
                if not isinstance(error, NotFound):
                    log.warning("trade_not_told", trade_id=trade_id, reason=error.code, message=error.message)

    def _context(self, request_id: str = "") -> types_pb2.RequestContext:
        return types_pb2.RequestContext(
            request_id=request_id or current_request_id.get(),
            mode=MODES[self._mode],
            traceparent=current_traceparent(),
        )


async def _pages(what: str, ask: Callable[[Any], Any], read: Callable[[Any], Any]) -> AsyncIterator[Sequence[Any]]:
    """The pages of a stream, taken up behind the last fact where it breaks off. Raises Unavailable in the end."""
    last: Any = None
    tries = 0
    while True:
        try:
            async for message in ask(last):
                tries = 0
                last = message.facts[-1]
                yield [read(fact) for fact in message.facts]
        except Unavailable:
            tries += 1
            if tries == TRIES_MAX:
                raise
            log.warning("stream_taken_up_again", stream=what, tries=tries)
            await asyncio.sleep(PAUSE_SECONDS * tries)
        else:
            return
