"""Owns the conversation with the quote service: consuming quotes and giving them back."""

from __future__ import annotations

from collections.abc import Sequence

from poolkit.context import CallContext
from poolkit.errors import DomainError
from poolkit.rpc.convert import error_from_refusal, from_context
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from pools.types.v1 import types_pb2
from trade.domain.intent import Attempt
from trade.domain.trade import Side, Terms

_SIDES = {types_pb2.SIDE_ON_RAMP: Side.ON_RAMP, types_pb2.SIDE_OFF_RAMP: Side.OFF_RAMP}


def context_of(attempt: Attempt, mode: str) -> types_pb2.RequestContext:
    """The attempt's own context. It carries no caller's deadline: what was begun completes under the driver's."""
    request = attempt.request
    return from_context(CallContext(request.request_id, request.organization_id, mode, request.traceparent))


class QuoteClient:
    """Fulfils `trade.app.ports.Quotes`."""

    def __init__(self, stub: quote_pb2_grpc.QuoteServiceAsyncStub, mode: str) -> None:
        self._stub = stub
        self._mode = mode

    async def consume(self, attempts: Sequence[Attempt], seconds: float) -> list[Terms | DomainError]:
        """Consumes each attempt's quote; recovery's attempts only where the consumption was begun before."""
        request = quote_pb2.ConsumeQuotesRequest(
            items=[
                quote_pb2.ConsumeQuotesItem(
                    context=context_of(attempt, self._mode),
                    trade_id=attempt.trade_id,
                    quote_id=attempt.request.quote_id,
                    pool_id=attempt.request.pool_id,
                    off_ramp_enabled=attempt.request.off_ramp_enabled,
                    resume_only=attempt.resumed,
                )
                for attempt in attempts
            ]
        )
        response = await self._stub.ConsumeQuotes(request, timeout=seconds)
        return [
            _terms(result.quote) if result.HasField("quote") else error_from_refusal(result.refusal)
            for result in response.results
        ]

    async def give_back(self, attempts: Sequence[Attempt], seconds: float) -> None:
        """Undoes the attempts' consumptions."""
        request = quote_pb2.GiveBackQuotesRequest(
            items=[
                quote_pb2.GiveBackQuotesItem(
                    context=context_of(attempt, self._mode),
                    trade_id=attempt.trade_id,
                    quote_id=attempt.request.quote_id,
                )
                for attempt in attempts
            ]
        )
        await self._stub.GiveBackQuotes(request, timeout=seconds)


def _terms(quote: types_pb2.Quote) -> Terms:
    return Terms(
        side=_SIDES[quote.side],
        fiat_currency=quote.fiat.currency,
        fiat_amount=quote.fiat.amount,
        crypto_currency=quote.crypto.currency,
        crypto_amount=quote.crypto.amount,
        rate=quote.rate,
        spread_bps=quote.spread_bps,
        fee_bps=quote.fee_bps,
        fee_amount=quote.fee.amount,
        network=quote.network,
        destination_address=quote.destination_address,
        client_reference=quote.client_reference,
    )
