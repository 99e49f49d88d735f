"""The way in for colleagues: `pools.trade.v1.TradeService`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import DomainError, InvalidRequest
from poolkit.rpc.convert import refusal, to_context
from poolkit.rpc.deadlines import deadline
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import item_spans
from pools.trade.v1 import trade_pb2, trade_pb2_grpc
from pools.types.v1 import types_pb2
from trade.api import requests
from trade.app import read
from trade.app.report import ReportSettlements
from trade.app.saga import DRIVE_SECONDS_MAX
from trade.app.transact import Accepted, TransactQuotes
from trade.domain.lifecycle import Outcome
from trade.domain.trade import Trade

ITEMS_MAX: Final = 256
_OUTCOMES: Final = {
    Outcome.APPLIED: trade_pb2.REPORT_OUTCOME_APPLIED,
    Outcome.REPEATED: trade_pb2.REPORT_OUTCOME_REPEATED,
    Outcome.EARLY: trade_pb2.REPORT_OUTCOME_EARLY,
    Outcome.REFUSED: trade_pb2.REPORT_OUTCOME_REFUSED,
}

Item = TypeVar("Item", bound=requests.ItemWithContext)
View = Callable[[Trade], types_pb2.Trade]


class TradeService(trade_pb2_grpc.TradeServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(
        self, *, database: Database, transact: TransactQuotes, report: ReportSettlements, view: View, mode: str
    ) -> None:
        self._database = database
        self._transact = transact
        self._report = report
        self._view = view
        self._mode = mode

    async def TransactQuotes(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.TransactQuotesRequest, context: Context
    ) -> trade_pb2.TransactQuotesResponse:
        """Accepts firm quotes."""
        contexts, results = self._contexts(request.items, trade_pb2.TransactQuotesResult)
        wanted = list(contexts)
        with item_spans("trade.TransactQuote", list(contexts.values())) as spans:
            items = [
                requests.transact_request(request.items[index], own)
                for index, own in zip(wanted, spans.contexts, strict=True)
            ]
            # The driver works under a deadline of its own: what was begun completes when the caller is gone.
            with deadline(DRIVE_SECONDS_MAX):
                answers = await self._transact(items)
            for position, answer in enumerate(answers):
                if isinstance(answer, DomainError):
                    spans[position].fail(answer)
                else:
                    spans[position].set("pools.trade_id", answer.trade.trade_id)
        results.update((index, self._result(answer)) for index, answer in zip(wanted, answers, strict=True))
        return trade_pb2.TransactQuotesResponse(results=in_order(results))

    async def GetTransactions(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.GetTransactionsRequest, context: Context
    ) -> trade_pb2.GetTransactionsResponse:
        """Reads trades by quote."""
        contexts, results = self._contexts(request.items, trade_pb2.TradeResult)
        asked = [(own.organization_id, request.items[index].quote_id) for index, own in contexts.items()]
        answers = await read.get_transactions(self._database, asked)
        results.update((index, self._read(answer)) for index, answer in zip(contexts, answers, strict=True))
        return trade_pb2.GetTransactionsResponse(results=in_order(results))

    async def GetTrades(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.GetTradesRequest, context: Context
    ) -> trade_pb2.GetTradesResponse:
        """Reads trades by id."""
        contexts, results = self._contexts(request.items, trade_pb2.TradeResult)
        asked = [(own.organization_id, request.items[index].trade_id) for index, own in contexts.items()]
        answers = await read.get_trades(self._database, asked)
        results.update((index, self._read(answer)) for index, answer in zip(contexts, answers, strict=True))
        return trade_pb2.GetTradesResponse(results=in_order(results))

    async def ListTrades(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.ListTradesRequest, context: Context
    ) -> trade_pb2.ListTradesResponse:
        """Lists an organization's trades, newest first."""
        own = to_context(request.context, self._mode)
        page = await read.list_trades(
            self._database,
            own.organization_id,
            size=requests.page_size(request.page_size),
            token=request.page_token,
            matching=requests.trade_filter(request),
        )
        return trade_pb2.ListTradesResponse(
            trades=[self._view(trade) for trade in page.trades], next_page_token=page.next_token
        )

    async def ReportSettlements(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.ReportSettlementsRequest, context: Context
    ) -> trade_pb2.ReportSettlementsResponse:
        """Applies what settlement reported."""
        contexts, results = self._contexts(request.items, trade_pb2.ReportSettlementsResult)
        with item_spans("trade.ReportSettlement", list(contexts.values())) as spans:
            wanted: list[int] = []
            reports = []
            for index, own in zip(contexts, spans.contexts, strict=True):
                try:
                    reports.append(requests.report(request.items[index], own))
                    wanted.append(index)
                except InvalidRequest as error:
                    results[index] = trade_pb2.ReportSettlementsResult(refusal=refusal(error))
            applied = await self._report(reports) if reports else []
        for index, answer in zip(wanted, applied, strict=True):
            results[index] = (
                requests.NOT_FOUND_REPORT
                if answer is None
                else trade_pb2.ReportSettlementsResult(
                    outcome=_OUTCOMES[answer.decision.outcome],
                    trade=self._view(answer.trade),
                    organization_id=answer.trade.organization_id,
                    refusal=requests.refused_report(answer.decision),
                )
            )
        return trade_pb2.ReportSettlementsResponse(results=in_order(results))

    def _contexts(
        self, items: Sequence[Item], refused: Callable[..., requests.Result]
    ) -> tuple[dict[int, CallContext], dict[int, requests.Result]]:
        """Each item's context by position, and the results of those that have none that fits."""
        if not 1 <= len(items) <= ITEMS_MAX:
            raise InvalidRequest(f"a batch has 1 to {ITEMS_MAX} items, not {len(items)}.", field="items")
        contexts: dict[int, CallContext] = {}
        results: dict[int, requests.Result] = {}
        for index, item in enumerate(items):
            try:
                contexts[index] = to_context(item.context, self._mode)
            except InvalidRequest as error:
                results[index] = refused(refusal=refusal(error))
        return contexts, results

    def _result(self, answer: Accepted | DomainError) -> trade_pb2.TransactQuotesResult:
        if isinstance(answer, DomainError):
            return trade_pb2.TransactQuotesResult(refusal=refusal(answer))
        return trade_pb2.TransactQuotesResult(trade=self._view(answer.trade), replayed=answer.replayed)

    def _read(self, answer: Trade | DomainError) -> trade_pb2.TradeResult:
        if isinstance(answer, DomainError):
            return trade_pb2.TradeResult(refusal=refusal(answer))
        return trade_pb2.TradeResult(trade=self._view(answer))


def in_order(results: dict[int, requests.Result]) -> list[requests.Result]:
    """The results in the order of the items."""
    return [results[index] for index in range(len(results))]
