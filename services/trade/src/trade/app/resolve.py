"""Owns ending a trade that nobody reports on: a person releases it, with a reason and a name, once."""

from __future__ import annotations

from dataclasses import dataclass

from poolkit.database import Database
from poolkit.errors import IllegalTransition, NotFound
from poolkit.outbox import append
from poolkit.relay import Relay
from trade.app import measures
from trade.app.ports import Events
from trade.domain.lifecycle import release_by_operator
from trade.domain.trade import Trade
from trade.store import resolutions, trades
from trade.store.resolutions import Resolution


@dataclass(frozen=True, slots=True)
class Resolved:
    """The trade as it is, and the decision that stands: an earlier one where there was one."""

    trade: Trade
    resolution: Resolution
    already: bool


class ReleaseTrade:
    """The use case behind `TradeAdminService.ResolveTrade`: the move, its event and the decision are one transaction.

    A report that comes meanwhile waits for the same row: whoever locks it first decides, and the other finds a trade
    that has ended. Safe to repeat.
    """

    def __init__(self, database: Database, relay: Relay, events: Events) -> None:
        self._database = database
        self._relay = relay
        self._events = events

    async def __call__(self, trade_id: str, resolution: Resolution, *, request_id: str, traceparent: str) -> Resolved:
        """Releases a reserved trade. Raises NotFound, IllegalTransition."""
        async with self._database.transaction() as unit:
            held = (await trades.lock(unit, [trade_id])).get(trade_id)
            if held is None:
                raise NotFound("trade", detail=f"There is no trade {trade_id!r} in this mode.")
            decided = await resolutions.find(unit, trade_id)
            if decided is not None:
                return Resolved(held.trade, decided, already=True)
            move = release_by_operator(held.trade, request_id=request_id, traceparent=traceparent, now=held.now)
            if move is None:
                raise IllegalTransition(
                    f"The trade is {held.trade.status} already; only a reserved one can be released."
                )
            await trades.write_transitions(unit, [move])
            await resolutions.keep(
                unit, trade_id, resolution, request_id=request_id, traceparent=traceparent, now=held.now
            )
            told = await append(unit, [self._events.terminal(move)], notify=not self._relay.takes_over)
            await unit.commit()
        self._relay.hand_over(told)
        measures.count_transitions([move], by="operator")
        return Resolved(move.trade, resolution, already=False)
