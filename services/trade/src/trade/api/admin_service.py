"""The way in for operations: `pools.trade.v1.TradeAdminService`."""

from __future__ import annotations

from typing import Final

from poolkit.errors import InvalidRequest, NotFound
from poolkit.rpc.batches import is_storable, own_context
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.trade.v1 import trade_admin_pb2, trade_admin_pb2_grpc
from trade.api.trade_service import View
from trade.app.resolve import ReleaseTrade
from trade.store.resolutions import Resolution

REASON_CHARACTERS_MAX: Final = 500
NAME_CHARACTERS_MAX: Final = 128


class TradeAdminService(trade_admin_pb2_grpc.TradeAdminServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, release: ReleaseTrade, view: View, mode: str) -> None:
        self._release = release
        self._view = view
        self._mode = mode

    async def ResolveTrade(  # noqa: N802 - the RPC's name
        self, request: trade_admin_pb2.ResolveTradeRequest, context: Context
    ) -> trade_admin_pb2.ResolveTradeResponse:
        """Releases a trade that nobody reports on."""
        own = own_context(request.context, self._mode, needs_organization=False)
        if request.resolution != trade_admin_pb2.TRADE_RESOLUTION_RELEASE:
            raise InvalidRequest("it must be release; there is no other yet.", field="resolution")
        if not is_storable(request.trade_id):
            raise NotFound("trade", detail="It is no trade's id.")
        resolved = await self._release(
            request.trade_id,
            Resolution(
                _sentence(request.reason, REASON_CHARACTERS_MAX, field="reason"),
                _sentence(request.resolved_by, NAME_CHARACTERS_MAX, field="resolved_by"),
            ),
            request_id=own.request_id,
            traceparent=current_traceparent(),
        )
        return trade_admin_pb2.ResolveTradeResponse(
            trade=self._view(resolved.trade),
            organization_id=resolved.trade.organization_id,
            already_resolved=resolved.already,
            reason=resolved.resolution.reason,
            resolved_by=resolved.resolution.resolved_by,
        )


def _sentence(text: str, characters_max: int, *, field: str) -> str:
    said = text.strip()
    if not 1 <= len(said) <= characters_max or not said.isprintable():
        raise InvalidRequest(
            f"it must be 1 to {characters_max} characters on one line; it is kept for good.", field=field
        )
    return said
