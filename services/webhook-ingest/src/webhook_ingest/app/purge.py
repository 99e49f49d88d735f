"""Owns forgetting refused webhooks when their days are over."""

import asyncio
from typing import Final

import structlog

from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.leases import Lease
from webhook_ingest.store import rejected

INTERVAL_SECONDS: Final = 600.0
CHUNK: Final = 1000

_log = structlog.get_logger("webhook_ingest.purge")


class PurgeRejected:
    """Deletes refused webhooks older than `days`, a thousand at a time; one replica does it."""

    def __init__(self, database: Database, lease: Lease, days: int) -> None:
        self._database = database
        self._lease = lease
        self._days = days

    async def run(self) -> None:
        """Purges now and then, until cancelled."""
        await self._lease.run(self._purge_forever)

    async def purge(self) -> int:
        """Purges what is due; answers how many."""
        purged = 0
        while True:
            count = await rejected.purge(self._database, self._days, CHUNK)
            purged += count
            if count < CHUNK:
                return purged

    async def _purge_forever(self) -> None:
        while True:
            try:
                if purged := await self.purge():
                    _log.info("rejected_webhooks_purged", count=purged, days=self._days)
            except Unavailable as error:
                _log.warning("rejected_webhooks_not_purged", error=repr(error.__cause__))
            await asyncio.sleep(INTERVAL_SECONDS)
