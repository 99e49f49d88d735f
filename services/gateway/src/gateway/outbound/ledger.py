"""The way to the ledger service: entries to read, and funding references to make."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.app.ports import EntryPage
from gateway.outbound.bounded import WAITING_MAX, Bounded
from gateway.outbound.refusals import as_partners_spell
from poolkit.context import CallContext
from poolkit.errors import InvalidRequest
from poolkit.rpc.convert import from_context
from pools.ledger.v1 import ledger_pb2, ledger_pb2_grpc


class LedgerClient:
    """Fulfils `gateway.app.ports.Ledger`. The entries it answers are the ledger service's own messages."""

    def __init__(self, stub: ledger_pb2_grpc.LedgerServiceAsyncStub, *, waiting_max: int = WAITING_MAX) -> None:
        self._stub = stub
        self._listing = Bounded(waiting_max)
        self._balances = Bounded(waiting_max)
        self._references = Bounded(waiting_max)

    async def list_entries(self, context: CallContext, currency: str, *, limit: int, cursor: str) -> EntryPage:
        """Reads a page of entries with the balance now."""
        request = ledger_pb2.ListEntriesRequest(
            context=from_context(context), currency=currency, page_size=limit, page_token=cursor
        )
        try:
            with self._listing:
                response = await self._stub.ListEntries(request, timeout=context.remaining())
        except InvalidRequest as error:
            raise as_partners_spell(error) from error
        return EntryPage(currency, response.balance.available.amount, response.entries, response.next_page_token)

    async def available(self, context: CallContext, currency: str) -> str:
        """Posted less holds."""
        item = ledger_pb2.GetBalancesItem(context=from_context(context), currency=currency)
        request = ledger_pb2.GetBalancesRequest(items=[item])
        with self._balances:
            response = await self._stub.GetBalances(request, timeout=context.remaining())
        return response.balances[0].available.amount

    async def ensure_funding_references(self, context: CallContext, currencies: Sequence[str]) -> dict[str, str]:
        """Makes, or finds, the organization's funding reference in each currency."""
        proto = from_context(context)
        request = ledger_pb2.EnsureFundingReferencesRequest(
            items=[ledger_pb2.FundingReferenceItem(context=proto, currency=currency) for currency in currencies]
        )
        with self._references:
            response = await self._stub.EnsureFundingReferences(request)
        return {reference.currency: reference.reference for reference in response.references}
