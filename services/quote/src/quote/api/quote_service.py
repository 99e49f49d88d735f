"""The way in for colleagues: `pools.quote.v1.QuoteService`."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from poolkit.database import Database
from poolkit.errors import DomainError
from poolkit.rpc.batches import answer_items
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from quote.api import conversion
from quote.api.pages import PAGE_SIZE_MAX
from quote.app import list_pools
from quote.app.consume_quotes import consume_quotes
from quote.app.give_back_quotes import give_back_quotes
from quote.app.quote_maker import QuoteMaker
from quote.app.read_quotes import get_quotes
from quote.app.reject_quotes import reject_quotes
from quote.domain.quotes import Quote, UnavailableQuote


class QuoteService(quote_pb2_grpc.QuoteServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, create_quotes: QuoteMaker, mode: str) -> None:
        self._database = database
        self._create_quotes = create_quotes
        self._mode = mode

    async def ListPools(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.ListPoolsRequest, context: Context
    ) -> quote_pb2.ListPoolsResponse:
        """Lists pools, by id."""
        size = page_size(request.page_size, default=PAGE_SIZE_MAX, largest=PAGE_SIZE_MAX)
        pools = await list_pools.list_pools(self._database, after=request.page_token, limit=size)
        return quote_pb2.ListPoolsResponse(
            pools=[conversion.pool_message(pool, available=list_pools.is_available(pool)) for pool in pools],
            next_page_token=pools[-1].pool.pool_id if len(pools) == size else "",
        )

    async def CreateQuotes(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.CreateQuotesRequest, context: Context
    ) -> quote_pb2.CreateQuotesResponse:
        """Prices orders."""
        answers = await answer_items(
            "quote.CreateQuote",
            request.items,
            self._mode,
            read=conversion.placed_order,
            work=self._create_quotes,
        )
        response = quote_pb2.CreateQuotesResponse()
        _tell(response.results, answers)
        return response

    async def GetQuotes(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.GetQuotesRequest, context: Context
    ) -> quote_pb2.GetQuotesResponse:
        """Reads quotes."""
        answers = await answer_items(
            "quote.GetQuote",
            request.items,
            self._mode,
            read=conversion.named_quote,
            work=partial(get_quotes, self._database),
        )
        response = quote_pb2.GetQuotesResponse()
        _tell(response.results, answers)
        return response

    async def RejectQuotes(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.RejectQuotesRequest, context: Context
    ) -> quote_pb2.RejectQuotesResponse:
        """Rejects quotes."""
        answers = await answer_items(
            "quote.RejectQuote",
            request.items,
            self._mode,
            read=conversion.named_quote,
            work=partial(reject_quotes, self._database),
        )
        response = quote_pb2.RejectQuotesResponse()
        _tell(response.results, answers)
        return response

    async def ConsumeQuotes(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.ConsumeQuotesRequest, context: Context
    ) -> quote_pb2.ConsumeQuotesResponse:
        """Consumes quotes for trades."""
        answers = await answer_items(
            "quote.ConsumeQuote",
            request.items,
            self._mode,
            read=conversion.attempt,
            work=partial(consume_quotes, self._database),
        )
        response = quote_pb2.ConsumeQuotesResponse()
        _tell(response.results, answers)
        return response

    async def GiveBackQuotes(  # noqa: N802 - the RPC's name
        self, request: quote_pb2.GiveBackQuotesRequest, context: Context
    ) -> quote_pb2.GiveBackQuotesResponse:
        """Undoes consumptions. An item that cannot be read fails the call: there is no refusing a give-back."""
        answers = await answer_items(
            "quote.GiveBackQuote",
            request.items,
            self._mode,
            read=conversion.undone_attempt,
            work=partial(give_back_quotes, self._database),
        )
        results = []
        for moved in answers:
            if isinstance(moved, DomainError):
                raise moved
            results.append(quote_pb2.GiveBackQuotesResult(moved=moved))
        return quote_pb2.GiveBackQuotesResponse(results=results)


class _Results(Protocol):
    """The results of a response, to be filled in where they are."""

    def add(self) -> quote_pb2.QuoteResult:
        """One more."""


def _tell(results: _Results, answers: Sequence[Quote | UnavailableQuote | DomainError]) -> None:
    for answer in answers:
        conversion.tell_quote(results.add(), answer)
