"""The way to the quote service: pools, prices and quotes, coalesced into its batch RPCs."""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from gateway.domain.quote_terms import QuoteTerms
from gateway.outbound.batches import BatchRpc, fill_context
from gateway.outbound.bounded import WAITING_MAX
from gateway.outbound.refusals import refused
from poolkit.batching import Batcher
from poolkit.context import CallContext
from poolkit.errors import DomainError
from poolkit.rpc.convert import MODES
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from pools.types.v1 import types_pb2

_SIDES: Final = {"on_ramp": types_pb2.SIDE_ON_RAMP, "off_ramp": types_pb2.SIDE_OFF_RAMP}
_TYPES: Final = {"firm": types_pb2.QUOTE_TYPE_FIRM, "indicative": types_pb2.QUOTE_TYPE_INDICATIVE}

POOLS_REUSED_SECONDS: Final = 0.05
"""How old a list of pools may be that a partner is shown: far less than what `available` goes by changes in."""


class _Order(NamedTuple):
    context: CallContext
    pool_id: str
    terms: QuoteTerms
    tier: str


class _Wanted(NamedTuple):
    context: CallContext
    id: str


class QuoteClient:
    """Fulfils `gateway.app.ports.Quotes`. The records it answers are the quote service's own messages."""

    def __init__(
        self, stub: quote_pb2_grpc.QuoteServiceAsyncStub, mode: str, *, waiting_max: int = WAITING_MAX
    ) -> None:
        self._stub = stub
        self._mode = MODES[mode]
        # Every caller gets the one answer, so a batch of any size is one question.
        self._pools: Batcher[None, Sequence[quote_pb2.Pool]] = Batcher(
            "ListPools", self._ask_pools, queue_max=waiting_max
        )
        self._recent_pools: Sequence[quote_pb2.Pool] = ()
        self._recent_pools_until = 0.0
        # A quote whose making broke off is not made again: it would hold inventory twice.
        self._create: BatchRpc[_Order, types_pb2.Quote] = BatchRpc(
            "CreateQuotes", self._ask_create, repeatable=False, waiting_max=waiting_max
        )
        self._get: BatchRpc[_Wanted, types_pb2.Quote] = BatchRpc(
            "GetQuotes", self._ask_get, repeatable=True, waiting_max=waiting_max
        )
        self._reject: BatchRpc[_Wanted, types_pb2.Quote] = BatchRpc(
            "RejectQuotes", self._ask_reject, repeatable=False, waiting_max=waiting_max
        )

    async def list_pools(self, context: CallContext) -> Sequence[quote_pb2.Pool]:
        """Every pool of the deployment, as they are now."""
        return await self._pools.submit(None, seconds_max=context.remaining())

    async def recent_pools(self, context: CallContext) -> Sequence[quote_pb2.Pool]:
        """Every pool of the deployment, as they were no longer ago than `POOLS_REUSED_SECONDS`."""
        if time.monotonic() < self._recent_pools_until:
            return self._recent_pools
        return await self.list_pools(context)

    def create(self, context: CallContext, pool_id: str, terms: QuoteTerms, *, tier: str) -> Awaitable[types_pb2.Quote]:
        """Prices an amount."""
        return self._create(_Order(context, pool_id, terms, tier))

    def get(self, context: CallContext, quote_id: str) -> Awaitable[types_pb2.Quote]:
        """Reads a quote."""
        return self._get(_Wanted(context, quote_id))

    def reject(self, context: CallContext, quote_id: str) -> Awaitable[types_pb2.Quote]:
        """Gives a quote back."""
        return self._reject(_Wanted(context, quote_id))

    @property
    def drains(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What is to be waited for when no more calls come."""
        return self._pools.drain, self._create.drain, self._get.drain, self._reject.drain

    async def _ask_pools(self, batch: list[None]) -> list[Sequence[quote_pb2.Pool] | Exception]:
        asked_at = time.monotonic()
        try:
            response = await self._stub.ListPools(quote_pb2.ListPoolsRequest())
        except DomainError as error:
            return [copy.copy(error) for _ in batch]
        self._recent_pools, self._recent_pools_until = response.pools, asked_at + POOLS_REUSED_SECONDS
        return [response.pools] * len(batch)

    async def _ask_create(self, batch: list[_Order], seconds: float) -> list[types_pb2.Quote | DomainError]:
        request = quote_pb2.CreateQuotesRequest()
        for order in batch:
            terms = order.terms
            item = request.items.add(
                pool_id=order.pool_id,
                side=_SIDES[terms.side],
                network=terms.network,
                destination_address=terms.destination_address,
                type=_TYPES[terms.type],
                client_reference=terms.client_reference,
                tier=order.tier,
            )
            item.amount.amount = terms.amount
            item.amount.currency = terms.amount_currency
            fill_context(item.context, order.context, self._mode)
        return _quotes((await self._stub.CreateQuotes(request, timeout=seconds)).results)

    async def _ask_get(self, batch: list[_Wanted], seconds: float) -> list[types_pb2.Quote | DomainError]:
        request = quote_pb2.GetQuotesRequest()
        for wanted in batch:
            fill_context(request.items.add(quote_id=wanted.id).context, wanted.context, self._mode)
        return _quotes((await self._stub.GetQuotes(request, timeout=seconds)).results)

    async def _ask_reject(self, batch: list[_Wanted], seconds: float) -> list[types_pb2.Quote | DomainError]:
        request = quote_pb2.RejectQuotesRequest()
        for wanted in batch:
            fill_context(request.items.add(quote_id=wanted.id).context, wanted.context, self._mode)
        return _quotes((await self._stub.RejectQuotes(request, timeout=seconds)).results)


def _quotes(results: Sequence[quote_pb2.QuoteResult]) -> list[types_pb2.Quote | DomainError]:
    return [refused(result.refusal) if result.HasField("refusal") else result.quote for result in results]
