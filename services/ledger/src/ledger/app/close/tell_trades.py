"""Owns telling trades what a close found: every trade of the date is matched or an exception, open ones only that.

Done after the close is stored, and noted when it is done, so that one that was cut short is done again: from what was
remembered while comparing, else by asking for the date's trades once more.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ledger.app.close.ports import Findings, Owners
from ledger.app.close.states import BATCH_TRADES, EXCEPTION, MATCHED, States
from ledger.domain.close.facts import TradeFact
from ledger.domain.close.merging import Ordered, merge
from ledger.store.close import closes
from ledger.store.close.closes import CloseRow
from poolkit.database import Database


class TellTrades:
    """Tells each trade whose state is another; safe to repeat, and an older close never undoes a newer one's word."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    async def __call__(self, close: CloseRow, remembered: States | None = None) -> None:
        """Raises Unavailable; then some trades may have been told."""
        told = Findings(close.close_id, close.business_date, close.revision, close.request_id)
        if remembered is not None and remembered.complete:
            for states in remembered.batches():
                await self._owners.set_states(told, states)
            counts = remembered.counts
        elif await closes.is_told(self._database, close.close_id):
            return
        else:
            counts = await self._ask_again(close, told)
        await closes.keep_telling(
            self._database, close.close_id, matched=counts[MATCHED], exceptional=counts[EXCEPTION]
        )

    async def _ask_again(self, close: CloseRow, told: Findings) -> dict[str, int]:
        counts = {MATCHED: 0, EXCEPTION: 0}
        batch: list[tuple[str, str]] = []
        states = self._states(close)
        async with aclosing(states):
            async for trade_id, state, is_new in states:
                counts[state] += 1
                if is_new:
                    batch.append((trade_id, state))
                if len(batch) == BATCH_TRADES:
                    await self._owners.set_states(told, batch)
                    batch = []
        if batch:
            await self._owners.set_states(told, batch)
        return counts

    async def _states(self, close: CloseRow) -> AsyncGenerator[tuple[str, str, bool], None]:
        """Each trade's state by trade id, and whether it says something else now."""
        until = close.cut_at if close.provisional else None
        ended = self._owners.trade_facts(close.business_date, until=until)
        exceptional = closes.exceptional_trades(self._database, close.close_id)
        streams = [Ordered("trade's terminal trades", ended), Ordered("the close's exceptions", exceptional)]
        async for trade_id, (facts, named) in merge(streams):
            trade: TradeFact | None = facts[0] if facts else None
            state = EXCEPTION if named else MATCHED
            yield trade_id, state, trade is None or trade.reconciliation_state != state
