"""Owns closing every date by itself: shortly after it has ended, those that were missed, and anew what came late to."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from ledger.app.close.run_close import Asked, RunClose
from ledger.store.close import due
from poolkit.context import current_request_id
from poolkit.database import Database
from poolkit.errors import DomainError
from poolkit.ids import new_id
from poolkit.telemetry.tracing import current_traceparent

BY_SCHEDULE: Final = "schedule"

_log = structlog.get_logger("ledger.close")


class Schedule:
    """The loop of whoever holds the lease. A date that cannot be closed is tried again at the next look."""

    def __init__(self, database: Database, run: RunClose, *, delay_seconds: float, look_seconds: float) -> None:
        self._database = database
        self._run = run
        self._delay = timedelta(seconds=delay_seconds)
        self._look_seconds = look_seconds
        self._looked_at = 0

    async def run(self) -> None:
        """Looks now and then, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._look_seconds)

    async def look(self) -> list[date]:
        """Closes what is due, the oldest first; answers which dates were."""
        now: datetime = await self._database.fetch_value("SELECT clock_timestamp()")
        # The newest date that has been over for long enough.
        last = (now - self._delay).date() - timedelta(days=1)
        late, looked_at = await due.late_dates(self._database, self._looked_at, last)
        dates = sorted({*late, *await due.missed_dates(self._database, last), *await due.untold_dates(self._database)})
        for business_date in dates:
            if not await self._close(business_date):
                return dates
        self._looked_at = looked_at
        return dates

    async def _close(self, business_date: date) -> bool:
        asked = Asked(new_id("req"), BY_SCHEDULE, current_traceparent())
        # Whom the close asks finds it under this request too.
        current_request_id.set(asked.request_id)
        try:
            outcome = await self._run(business_date, asked, lambda words: _log.info("closing", message=words))
        except DomainError as error:
            _log.warning("date_not_closed", business_date=str(business_date), reason=error.code, message=error.message)
            return False
        close = outcome.close
        _log.info(
            "date_closed",
            business_date=str(business_date),
            revision=close.revision,
            created=outcome.created,
            exceptions=close.exception_count,
        )
        return True
