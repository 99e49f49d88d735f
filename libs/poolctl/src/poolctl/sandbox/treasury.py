"""Owns the simulated treasury: pools are topped up at the start, and again before they run dry."""

import asyncio
import time
from decimal import Decimal
from typing import Final

import structlog

from poolctl.sandbox.rates import RATES
from poolkit.errors import DomainError
from poolkit.ids import new_id
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from pools_contracts.quote import QuoteClient

log = structlog.get_logger("poolctl.sandbox")

LOOK_SECONDS: Final = 1.0
TOP_UP_BELOW: Final = Decimal(10_000_000)
TOP_UP_AMOUNT: Final = "50000000"
MOVEMENT_SECONDS: Final = 10
"""At most one top-up of a pool and asset in this time: its id names them and the time, so a repeat is the same one."""


class Treasury:
    """Keeps every pool filled with both of its assets: crypto to sell, fiat to pay out."""

    def __init__(self, quote: QuoteClient) -> None:
        self._quote = quote
        self.filled = False
        """True once every pool has what it should."""

    async def run(self) -> None:
        """Looks every second; a quote service out of reach is waited for."""
        while True:
            try:
                self.filled = await self.top_up() or self.filled
            except DomainError as error:
                log.warning("treasury_not_heard", reason=error.code)
            await asyncio.sleep(LOOK_SECONDS)

    async def top_up(self) -> bool:
        """Moves inventory into every pool that has too little; answers whether all have enough now."""
        known = await self._quote.admin.ListInventory(quote_pb2.ListInventoryRequest())
        free = {(row.pool_id, row.total.currency): _free(row) for row in known.inventory}
        movements = [
            _movement(pool_id, currency, zeros)
            for pool_id in RATES
            for currency, zeros in zip(pool_id.split("-"), ("00", "000000"), strict=True)
            if free.get((pool_id, currency), Decimal(0)) < TOP_UP_BELOW
        ]
        if not movements:
            return True
        answer = await self._quote.admin.MoveTreasury(quote_pb2.MoveTreasuryRequest(movements=movements))
        refused = [result.refusal for result in answer.results if result.HasField("refusal")]
        for refusal in refused:
            log.error("top_up_refused", reason=refusal.reason, message=refusal.message)
        return not refused


def _movement(pool_id: str, currency: str, zeros: str) -> quote_pb2.TreasuryMovement:
    return quote_pb2.TreasuryMovement(
        context=types_pb2.RequestContext(
            request_id=new_id("req"), organization_id="treasury", mode=types_pb2.MODE_TEST
        ),
        movement_id=f"sandbox-{pool_id}-{currency}-{int(time.time()) // MOVEMENT_SECONDS}",
        pool_id=pool_id,
        amount=types_pb2.Money(amount=f"{TOP_UP_AMOUNT}.{zeros}", currency=currency),
    )


def _free(row: quote_pb2.Inventory) -> Decimal:
    return Decimal(row.total.amount) - Decimal(row.held.amount) - Decimal(row.committed.amount)
