"""The way in for the daily close's findings: `pools.trade.v1.ReconciliationService`."""

from __future__ import annotations

from typing import Final

from poolkit.database import Database
from poolkit.errors import DomainError, InvalidRequest, NotFound
from poolkit.rpc.batches import check_size, is_storable, own_context
from poolkit.rpc.convert import refusal
from poolkit.rpc.facts import business_date
from poolkit.rpc.types import Context
from pools.trade.v1 import reconciliation_pb2, reconciliation_pb2_grpc
from pools.types.v1 import types_pb2
from trade.store.reconciliation import Finding, set_states

ITEMS_MAX: Final = 1_000
_STATES: Final = {
    types_pb2.RECONCILIATION_STATE_OPEN: "open",
    types_pb2.RECONCILIATION_STATE_MATCHED: "matched",
    types_pb2.RECONCILIATION_STATE_EXCEPTION: "exception",
}
_STATES_OUT: Final = {name: value for value, name in _STATES.items()}


class ReconciliationService(reconciliation_pb2_grpc.ReconciliationServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, mode: str) -> None:
        self._database = database
        self._mode = mode

    async def SetReconciliationStates(  # noqa: N802 - the RPC's name
        self, request: reconciliation_pb2.SetReconciliationStatesRequest, context: Context
    ) -> reconciliation_pb2.SetReconciliationStatesResponse:
        """Sets what a close found out about each trade."""
        own_context(request.context, self._mode, needs_organization=False)
        check_size(request.items, ITEMS_MAX)
        closed_on = business_date(request.business_date)
        if request.revision < 1:
            raise InvalidRequest("it is 1 or more.", field="revision")
        if not request.close_id or not is_storable(request.close_id):
            raise InvalidRequest("it is no close's id.", field="close_id")
        wrong = [_wrong(item) for item in request.items]
        states = {
            item.trade_id: _STATES[item.state]
            for item, error in zip(request.items, wrong, strict=True)
            if error is None
        }
        found: dict[str, Finding] = {}
        if states:
            found = await set_states(
                self._database, states, business_date=closed_on, revision=request.revision, close_id=request.close_id
            )
        return reconciliation_pb2.SetReconciliationStatesResponse(
            results=[
                _result(error or found.get(item.trade_id) or NotFound("trade"))
                for item, error in zip(request.items, wrong, strict=True)
            ]
        )


def _wrong(item: reconciliation_pb2.SetReconciliationStatesItem) -> DomainError | None:
    if not is_storable(item.trade_id):
        return NotFound("trade")
    if item.state not in _STATES:
        return InvalidRequest("it must be open, matched or exception.", field="state")
    return None


def _result(answer: Finding | DomainError) -> reconciliation_pb2.SetReconciliationStatesResult:
    if isinstance(answer, DomainError):
        return reconciliation_pb2.SetReconciliationStatesResult(refusal=refusal(answer))
    return reconciliation_pb2.SetReconciliationStatesResult(
        state=_STATES_OUT[answer.state], superseded=answer.superseded
    )
