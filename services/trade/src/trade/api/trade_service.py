"""The way in for colleagues: `pools.trade.v1.TradeService`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from poolkit.database import Database
from poolkit.errors import DomainError, InvalidRequest
from poolkit.rpc.batches import answer_items, own_context
from poolkit.rpc.convert import refusal
from poolkit.rpc.deadlines import deadline
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from poolkit.telemetry.spans import Span
from pools.trade.v1 import trade_pb2, trade_pb2_grpc
from pools.types.v1 import types_pb2
from trade.api import requests
from trade.app import read
from trade.app.report import Applied, ReportSettlements
from trade.app.saga import DRIVE_SECONDS_MAX
from trade.app.transact import Accepted, TransactQuotes
from trade.domain.intent import TransactRequest
from trade.domain.lifecycle import Outcome
from trade.domain.trade import Trade

AGE_SECONDS_MAX: Final = 2_592_000
_OUTCOMES: Final = {
    Outcome.APPLIED: trade_pb2.REPORT_OUTCOME_APPLIED,
    Outcome.REPEATED: trade_pb2.REPORT_OUTCOME_REPEATED,
    Outcome.EARLY: trade_pb2.REPORT_OUTCOME_EARLY,
    Outcome.REFUSED: trade_pb2.REPORT_OUTCOME_REFUSED,
}

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
        answers = await answer_items(
            "trade.TransactQuote",
            request.items,
            self._mode,
            read=requests.transact_request,
            work=self._drive,
            note=_note_trade,
        )
        return trade_pb2.TransactQuotesResponse(results=[self._result(answer) for answer in answers])

    async def GetTransactions(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.GetTransactionsRequest, context: Context
    ) -> trade_pb2.GetTransactionsResponse:
        """Reads trades by quote."""
        answers = await answer_items(
            "trade.GetTransaction",
            request.items,
            self._mode,
            read=requests.named_quote,
            work=partial(read.get_transactions, self._database),
        )
        return trade_pb2.GetTransactionsResponse(results=[self._read(answer) for answer in answers])

    async def GetTrades(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.GetTradesRequest, context: Context
    ) -> trade_pb2.GetTradesResponse:
        """Reads trades by id."""
        answers = await answer_items(
            "trade.GetTrade",
            request.items,
            self._mode,
            read=requests.named_trade,
            work=partial(read.get_trades, self._database),
        )
        return trade_pb2.GetTradesResponse(results=[self._read(answer) for answer in answers])

    async def ListTrades(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.ListTradesRequest, context: Context
    ) -> trade_pb2.ListTradesResponse:
        """Lists an organization's trades, newest first."""
        own = own_context(request.context, self._mode)
        page = await read.list_trades(
            self._database,
            own.organization_id,
            size=page_size(request.page_size),
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
        # Whose trade it is, settlement does not know.
        answers = await answer_items(
            "trade.ReportSettlement",
            request.items,
            self._mode,
            read=requests.report,
            work=self._report,
            needs_organization=False,
        )
        return trade_pb2.ReportSettlementsResponse(results=[self._reported(answer) for answer in answers])

    async def ListOverdueTrades(  # noqa: N802 - the RPC's name
        self, request: trade_pb2.ListOverdueTradesRequest, context: Context
    ) -> trade_pb2.ListOverdueTradesResponse:
        """Lists trades still reserved after a while."""
        own_context(request.context, self._mode, needs_organization=False)
        if not 1 <= request.age_seconds_min <= AGE_SECONDS_MAX:
            raise InvalidRequest(f"it must be 1 to {AGE_SECONDS_MAX}.", field="age_seconds_min")
        page = await read.list_overdue(
            self._database,
            age_seconds_min=request.age_seconds_min,
            size=page_size(request.page_size),
            token=request.page_token,
        )
        return trade_pb2.ListOverdueTradesResponse(
            trades=[
                trade_pb2.OverdueTrade(
                    trade_id=trade.trade_id, organization_id=trade.organization_id, request_id=trade.request_id
                )
                for trade in page.trades
            ],
            next_page_token=page.next_token,
        )

    async def _drive(self, items: list[TransactRequest]) -> list[Accepted | DomainError]:
        # The driver works under a deadline of its own: what was begun completes when the caller is gone.
        with deadline(DRIVE_SECONDS_MAX):
            return await self._transact(items)

    def _reported(self, answer: Applied | DomainError | None) -> trade_pb2.ReportSettlementsResult:
        if isinstance(answer, DomainError):
            return trade_pb2.ReportSettlementsResult(refusal=refusal(answer))
        if answer is None:
            return requests.NOT_FOUND_REPORT
        return trade_pb2.ReportSettlementsResult(
            outcome=_OUTCOMES[answer.decision.outcome],
            trade=self._view(answer.trade),
            organization_id=answer.trade.organization_id,
            refusal=requests.refused_report(answer.decision),
        )

    def _result(self, answer: Accepted | DomainError) -> trade_pb2.TransactQuotesResult:
        if isinstance(answer, DomainError):
            return trade_pb2.TransactQuotesResult(refusal=refusal(answer))
        return trade_pb2.TransactQuotesResult(trade=self._view(answer.trade), replayed=answer.replayed)

    def _read(self, answer: Trade | DomainError) -> trade_pb2.TradeResult:
        if isinstance(answer, DomainError):
            return trade_pb2.TradeResult(refusal=refusal(answer))
        return trade_pb2.TradeResult(trade=self._view(answer))


def _note_trade(span: Span, answer: Accepted) -> None:
    span.set("pools.trade_id", answer.trade.trade_id)
