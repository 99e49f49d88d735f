"""Owns the simulated rate feed and treasury: fresh rates every second, and pools topped up before they run dry."""

import asyncio
import time
from decimal import Decimal
from typing import Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from poolkit.errors import DomainError
from poolkit.ids import new_id
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from pools_contracts.quote import QuoteClient

log = structlog.get_logger(__name__)

RATES: Final = {
    "EUR-USDT": "1.085000",
    "EUR-USDC": "1.085200",
    "GBP-USDT": "1.270000",
    "USD-USDT": "0.999500",
}
"""Units of crypto for one unit of fiat; they never move, so that a partner's tests can count on them."""

PUBLISH_SECONDS: Final = 1.0
TOP_UP_BELOW: Final = Decimal(10_000_000)
TOP_UP_AMOUNT: Final = "50000000"


class Treasury:
    """Keeps prices fresh and pools filled for as long as it runs."""

    def __init__(self, quote: QuoteClient) -> None:
        self._quote = quote
        self.done_once = False
        """True once rates are fresh and every pool is filled."""

    async def run(self) -> None:
        """Publishes and tops up every second; a quote service out of reach is waited for."""
        while True:
            try:
                await self.publish_rates()
                await self.top_up()
                self.done_once = True
            except DomainError as error:
                log.warning("quote_service_did_not_take_it", reason=error.code)
            await asyncio.sleep(PUBLISH_SECONDS)

    async def publish_rates(self) -> None:
        """Publishes every pool's rate as of now."""
        now = Timestamp()
        now.FromNanoseconds(time.time_ns())
        rates = [quote_pb2.Rate(pool_id=pool_id, rate=rate, as_of_time=now) for pool_id, rate in RATES.items()]
        await self._quote.admin.PublishRates(quote_pb2.PublishRatesRequest(rates=rates))

    async def top_up(self) -> None:
        """Moves inventory into every pool that has less than it should."""
        known = await self._quote.admin.ListInventory(quote_pb2.ListInventoryRequest())
        free = {(row.pool_id, row.total.currency): _free(row) for row in known.inventory}
        movements = [
            quote_pb2.TreasuryMovement(
                context=types_pb2.RequestContext(
                    request_id=new_id("req"), organization_id="treasury", mode=types_pb2.MODE_TEST
                ),
                movement_id=f"sandbox-{new_id('evt')}",
                pool_id=pool_id,
                amount=types_pb2.Money(amount=f"{TOP_UP_AMOUNT}.{zeros}", currency=currency),
            )
            for pool_id in RATES
            for currency, zeros in zip(pool_id.split("-"), ("00", "000000"), strict=True)
            if free.get((pool_id, currency), Decimal(0)) < TOP_UP_BELOW
        ]
        if movements:
            answer = await self._quote.admin.MoveTreasury(quote_pb2.MoveTreasuryRequest(movements=movements))
            for result in answer.results:
                if result.HasField("refusal"):
                    log.error("top_up_refused", reason=result.refusal.reason, message=result.refusal.message)


def _free(row: quote_pb2.Inventory) -> Decimal:
    return Decimal(row.total.amount) - Decimal(row.held.amount) - Decimal(row.committed.amount)
