"""Owns asking about trades that nobody reports on: reserved for too long, whether a partner polls them or not."""

import asyncio
from typing import Final

import structlog

from poolkit.errors import DomainError
from poolkit.leases import Lease
from webhook_ingest.app.poll import PollSettlements
from webhook_ingest.app.ports import OverdueTrade, OverdueTrades
from webhook_ingest.domain.polls import PollOutcome
from webhook_ingest.store.polls import Poll

ASKED_TOGETHER: Final = 8
"""Few, so that a provider that hangs leaves room for partners' polls."""
RETRY_SECONDS: Final = 5.0
"""Whom nobody could ask about has waited long already."""

_log = structlog.get_logger("webhook_ingest.overdue")


class PollOverdue:
    """Walks through the overdue trades, again and again; one replica does it."""

    def __init__(
        self, trades: OverdueTrades, poll: PollSettlements, lease: Lease, *, age_seconds_min: int, pause_seconds: float
    ) -> None:
        self._trades = trades
        self._poll = poll
        self._lease = lease
        self._age_seconds_min = age_seconds_min
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        """Asks about all of them once in every pause, until cancelled."""
        await self._lease.run(self._walk_forever)

    async def walk(self) -> tuple[int, int]:
        """Asks about every overdue trade that was not asked about lately; how many there are, and were left out."""
        count, left_out, token = 0, 0, ""
        while True:
            page, token = await self._trades.list_page(age_seconds_min=self._age_seconds_min, token=token)
            for first in range(0, len(page), ASKED_TOGETHER):
                outcomes = await asyncio.gather(*map(self._ask, page[first : first + ASKED_TOGETHER]))
                left_out += outcomes.count(PollOutcome.NOT_ASKED)
            count += len(page)
            if not token:
                return count, left_out

    async def _ask(self, trade: OverdueTrade) -> PollOutcome:
        # Under the request that reserved it, so that what settles it is found there.
        return await self._poll(Poll(trade.trade_id, trade.request_id, "", self._pause_seconds / 2))

    async def _walk_forever(self) -> None:
        while True:
            pause_seconds = self._pause_seconds
            try:
                count, left_out = await self.walk()
                if count:
                    _log.warning("trades_reserved_for_too_long", count=count, seconds=self._age_seconds_min)
                if left_out:
                    pause_seconds = min(pause_seconds, RETRY_SECONDS)
            except DomainError as error:
                _log.warning("overdue_trades_not_polled", error=error.message)
                pause_seconds = min(pause_seconds, RETRY_SECONDS)
            await asyncio.sleep(pause_seconds)
