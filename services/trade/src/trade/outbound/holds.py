"""Owns the conversation with the ledger: placing holds and voiding them."""

from __future__ import annotations

from collections.abc import Sequence

from poolkit.errors import DomainError
from poolkit.rpc.convert import error_from_refusal
from pools.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from pools.types.v1 import types_pb2
from trade.domain.intent import Attempt
from trade.domain.trade import Hold
from trade.outbound.quotes import context_of


class HoldClient:
    """Fulfils `trade.app.ports.Holds`."""

    def __init__(self, stub: ledger_pb2_grpc.LedgerServiceAsyncStub, mode: str) -> None:
        self._stub = stub
        self._mode = mode

    async def place(self, attempts: Sequence[tuple[Attempt, Hold]], seconds: float) -> list[DomainError | None]:
        """Holds the fiat that each attempt will cost."""
        request = ledger_pb2.PlaceHoldsRequest(
            items=[
                ledger_pb2.PlaceHoldsItem(
                    context=context_of(attempt, self._mode),
                    trade_id=attempt.trade_id,
                    quote_id=attempt.request.quote_id,
                    amount=types_pb2.Money(amount=hold.amount, currency=hold.currency),
                    balance_gate_enabled=attempt.request.balance_gate_enabled,
                    client_reference=hold.client_reference,
                )
                for attempt, hold in attempts
            ]
        )
        response = await self._stub.PlaceHolds(request, timeout=seconds)
        return [
            error_from_refusal(result.refusal) if result.HasField("refusal") else None for result in response.results
        ]

    async def void(self, attempts: Sequence[Attempt], seconds: float) -> None:
        """Voids the attempts' holds, also those that never arrived."""
        request = ledger_pb2.VoidHoldsRequest(
            items=[
                ledger_pb2.VoidHoldsItem(context=context_of(attempt, self._mode), trade_id=attempt.trade_id)
                for attempt in attempts
            ]
        )
        await self._stub.VoidHolds(request, timeout=seconds)
