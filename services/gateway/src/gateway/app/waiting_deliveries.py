"""Owns how long deliveries wait for an endpoint that stays disabled: days, and then a person has to replay them."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from gateway.domain.deliveries import WAITING_SECONDS_MAX
from gateway.store import waiting
from poolkit.database import Database
from poolkit.errors import Unavailable

LOOK_SECONDS: Final = 60.0
CHUNK: Final = 1_000

log = structlog.get_logger(__name__)


class WaitingDeliveries:
    """Gives up what has waited in vain. Any number of replicas may look: what one writes to, the others leave."""

    def __init__(self, database: Database, waiting_seconds_max: float = WAITING_SECONDS_MAX) -> None:
        self._database = database
        self._waiting_seconds_max = waiting_seconds_max

    async def run(self) -> None:
        """Looks now and then, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                log.warning("waiting_deliveries_not_looked_at", error=repr(error.__cause__))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> int:
        """Gives up what is due for it, a thousand at a time; answers how many."""
        total = 0
        while True:
            given_up = await waiting.give_up(self._database, waiting_seconds_max=self._waiting_seconds_max, limit=CHUNK)
            for endpoint in given_up:
                log.warning(
                    "deliveries_waited_in_vain",
                    endpoint_id=endpoint.endpoint_id,
                    organization_id=endpoint.organization_id,
                    count=endpoint.deliveries,
                )
            count = sum(endpoint.deliveries for endpoint in given_up)
            total += count
            if count < CHUNK:
                return total
