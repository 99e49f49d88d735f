"""The way in for colleagues: `pools.ledger.v1.LedgerService`."""

from collections.abc import Iterable
from typing import Final

from ledger.api import requests
from ledger.app.funding_references import ensure_references, look_up_references
from ledger.app.place_holds import PlaceHolds
from ledger.app.read_books import get_balances, list_entries
from ledger.app.void_holds import void_all
from ledger.domain.holds import Answer
from ledger.domain.identities import entry_id
from ledger.store.books import Balance, EntryRow
from ledger.store.holds import Tombstone
from ledger.store.references import FundingReference
from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import DomainError
from poolkit.money import format_amount
from poolkit.rpc.batches import answer_items, check_size, own_context
from poolkit.rpc.convert import from_time, refusal
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import item_spans
from pools.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from pools.types.v1 import types_pb2

REFERENCES_MAX: Final = 100


class LedgerService(ledger_pb2_grpc.LedgerServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, place_holds: PlaceHolds, *, mode: str) -> None:
        self._database = database
        self._place_holds = place_holds
        self._mode = mode

    async def PlaceHolds(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.PlaceHoldsRequest, context: Context
    ) -> ledger_pb2.PlaceHoldsResponse:
        """Takes holds; each item fails alone."""
        answers = await answer_items(
            "ledger.PlaceHold", request.items, self._mode, read=requests.hold_request, work=self._place_holds
        )
        return ledger_pb2.PlaceHoldsResponse(results=[_hold(answer) for answer in answers])

    async def VoidHolds(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.VoidHoldsRequest, context: Context
    ) -> ledger_pb2.VoidHoldsResponse:
        """Voids holds and leaves tombstones."""
        check_size(request.items)
        contexts = self._contexts([item.context for item in request.items])
        with item_spans("ledger.VoidHold", contexts) as spans:
            tombstones = [
                Tombstone(requests.trade_id(item.trade_id), own.organization_id, own.request_id, own.traceparent)
                for item, own in zip(request.items, spans.contexts, strict=True)
            ]
            voided = await void_all(self._database, tombstones)
        return ledger_pb2.VoidHoldsResponse(results=[ledger_pb2.VoidHoldsResult(voided=each) for each in voided])

    async def GetBalances(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.GetBalancesRequest, context: Context
    ) -> ledger_pb2.GetBalancesResponse:
        """Reads balances."""
        check_size(request.items)
        contexts = self._contexts([item.context for item in request.items])
        asked = [
            (own.organization_id, requests.currency(item.currency))
            for item, own in zip(request.items, contexts, strict=True)
        ]
        balances = await get_balances(self._database, asked)
        return ledger_pb2.GetBalancesResponse(
            balances=[_balance(balance, code) for balance, (_, code) in zip(balances, asked, strict=True)]
        )

    async def ListEntries(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.ListEntriesRequest, context: Context
    ) -> ledger_pb2.ListEntriesResponse:
        """Lists a partner's entries, newest first."""
        own = own_context(request.context, self._mode)
        code = requests.currency(request.currency)
        page = await list_entries(
            self._database,
            own.organization_id,
            code,
            size=page_size(request.page_size, largest=requests.PAGE_SIZE_MAX),
            token=request.page_token,
        )
        return ledger_pb2.ListEntriesResponse(
            balance=_balance(page.balance, code),
            entries=[_entry(entry, code) for entry in page.entries],
            next_page_token=page.next_token,
        )

    async def EnsureFundingReferences(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.EnsureFundingReferencesRequest, context: Context
    ) -> ledger_pb2.EnsureFundingReferencesResponse:
        """Makes or finds funding references."""
        check_size(request.items, REFERENCES_MAX)
        contexts = self._contexts([item.context for item in request.items])
        asked = [
            (own, requests.fiat_currency(item.currency)) for item, own in zip(request.items, contexts, strict=True)
        ]
        references = await ensure_references(self._database, asked)
        return ledger_pb2.EnsureFundingReferencesResponse(references=[_reference(each) for each in references])

    async def LookUpFundingReferences(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.LookUpFundingReferencesRequest, context: Context
    ) -> ledger_pb2.LookUpFundingReferencesResponse:
        """Tells whose funding references are."""
        check_size(request.references, REFERENCES_MAX)
        found = await look_up_references(self._database, list(request.references))
        return ledger_pb2.LookUpFundingReferencesResponse(
            results=[
                ledger_pb2.FundingReferenceResult(refusal=refusal(each))
                if isinstance(each, DomainError)
                else ledger_pb2.FundingReferenceResult(reference=_reference(each))
                for each in found
            ]
        )

    def _contexts(self, contexts: Iterable[types_pb2.RequestContext]) -> list[CallContext]:
        """For RPCs whose items cannot be refused alone. Raises InvalidRequest."""
        return [own_context(context, self._mode) for context in contexts]


def _hold(answer: Answer) -> ledger_pb2.PlaceHoldsResult:
    if isinstance(answer, DomainError):
        return ledger_pb2.PlaceHoldsResult(refusal=refusal(answer))
    return ledger_pb2.PlaceHoldsResult(hold_id=answer)


def _balance(balance: Balance, currency: str) -> ledger_pb2.Balance:
    return ledger_pb2.Balance(
        posted=types_pb2.Money(amount=format_amount(balance.posted, currency), currency=currency),
        held=types_pb2.Money(amount=format_amount(balance.held, currency), currency=currency),
        available=types_pb2.Money(amount=format_amount(balance.available, currency), currency=currency),
    )


def _entry(entry: EntryRow, currency: str) -> types_pb2.LedgerEntry:
    return types_pb2.LedgerEntry(
        entry_id=entry_id(entry.transaction_id, entry.leg),
        delta=types_pb2.Money(amount=format_amount(entry.amount, currency), currency=currency),
        reason=entry.reason,
        ledger_transaction_id=entry.transaction_id,
        balance_after=types_pb2.Money(amount=format_amount(entry.balance_after, currency), currency=currency),
        create_time=from_time(entry.created_at),
        transact_id=entry.trade_id,
        client_reference=entry.client_reference,
    )


def _reference(reference: FundingReference) -> ledger_pb2.FundingReference:
    return ledger_pb2.FundingReference(
        reference=reference.reference, organization_id=reference.organization_id, currency=reference.currency
    )
