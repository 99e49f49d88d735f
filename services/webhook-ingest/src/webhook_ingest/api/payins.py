"""The way in for those who allocate money: `pools.webhook_ingest.v1.PayinService`."""

from collections.abc import Iterator

from poolkit.money import format_amount
from poolkit.rpc.convert import from_time
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import payins_pb2, payins_pb2_grpc
from webhook_ingest.api.pages import from_token, to_token
from webhook_ingest.app.allocate import AllocatePayins, Waiting
from webhook_ingest.domain.allocations import new_allocation


class PayinService(payins_pb2_grpc.PayinServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, payins: AllocatePayins) -> None:
        self._payins = payins

    async def ListUnallocatedPayins(  # noqa: N802 - the RPC's name
        self, request: payins_pb2.ListUnallocatedPayinsRequest, context: Context
    ) -> payins_pb2.ListUnallocatedPayinsResponse:
        """Lists what waits for a person."""
        size = page_size(request.page_size)
        page = await self._payins.list_waiting(after=from_token(request.page_token), limit=size + 1)
        shown = page.waiting[:size]
        return payins_pb2.ListUnallocatedPayinsResponse(
            payins=[_payin(waiting) for waiting in shown],
            next_page_token=to_token(shown[-1].payin.webhook_id) if len(page.waiting) > size else "",
            references_asked=page.references_asked,
        )

    async def AllocatePayin(  # noqa: N802 - the RPC's name
        self, request: payins_pb2.AllocatePayinRequest, context: Context
    ) -> payins_pb2.AllocatePayinResponse:
        """Takes a person's word, once."""
        allocation = new_allocation(
            request.payin_id, request.organization_id, request.allocated_by, request.allocation_reason
        )
        allocated = await self._payins.allocate(allocation)
        currency = allocated.currency
        return payins_pb2.AllocatePayinResponse(
            event_id=allocated.event_id,
            payin_event_id=allocated.payin_event_id,
            amount=types_pb2.Money(amount=format_amount(allocated.amount, currency), currency=currency),
            allocate_time=from_time(allocated.allocated_at),
            repeated_allocation=allocated.repeated,
        )


def _payin(waiting: Waiting) -> payins_pb2.UnallocatedPayin:
    payin = waiting.payin
    return payins_pb2.UnallocatedPayin(
        payin_event_id=payin.payin_event_id,
        webhook_id=payin.webhook_id,
        source=payin.source,
        bank_transaction_id=payin.bank_transaction_id,
        funding_reference=payin.funding_reference,
        amount=types_pb2.Money(amount=format_amount(payin.amount, payin.currency), currency=payin.currency),
        receive_time=from_time(payin.received_at),
        candidates=_candidates(waiting),
    )


def _candidates(waiting: Waiting) -> Iterator[payins_pb2.PayinCandidate]:
    for near in waiting.by_reference:
        ground = payins_pb2.CANDIDATE_GROUND_REFERENCE
        yield payins_pb2.PayinCandidate(organization_id=near.organization_id, ground=ground, evidence=near.reference)
    for earlier in waiting.by_amount:
        ground = payins_pb2.CANDIDATE_GROUND_AMOUNT
        yield payins_pb2.PayinCandidate(
            organization_id=earlier.organization_id, ground=ground, evidence=earlier.event_id
        )
