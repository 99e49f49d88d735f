"""Owns the simulated settlement side's stock of deposit addresses: a fresh one for every sale, on every network."""

import asyncio
import secrets
from typing import Final

import structlog

from poolkit.errors import DomainError
from poolkit.ids import new_id
from pools.quote.v1 import quote_pb2
from pools.trade.v1 import deposit_addresses_pb2
from pools.types.v1 import types_pb2
from pools_contracts.quote import QuoteClient
from pools_contracts.trade import TradeClient

log = structlog.get_logger("poolctl.sandbox")

LOOK_SECONDS: Final = 1.0
STOCK_BELOW: Final = 500
ADDED_TOGETHER: Final = 1000


class Depot:
    """Keeps the trade service supplied with addresses for each network and asset of the pools."""

    def __init__(self, quote: QuoteClient, trade: TradeClient) -> None:
        self._quote = quote
        self._trade = trade
        self.stocked = False
        """True once every network and asset has some."""

    async def run(self) -> None:
        """Looks every second; colleagues out of reach are waited for."""
        while True:
            try:
                await self.stock()
                self.stocked = True
            except DomainError as error:
                log.warning("depot_not_heard", reason=error.code)
            await asyncio.sleep(LOOK_SECONDS)

    async def stock(self) -> None:
        """Adds addresses where few are left."""
        pools = (await self._quote.quote.ListPools(quote_pb2.ListPoolsRequest())).pools
        wanted = {(network, pool.crypto_currency) for pool in pools for network in pool.supported_networks}
        known = await self._add([])
        free = {(stock.network, stock.currency): stock.free_count for stock in known.stocks}
        for network, currency in sorted(wanted):
            if free.get((network, currency), 0) < STOCK_BELOW:
                await self._add([_fresh(network, currency) for _ in range(ADDED_TOGETHER)])

    async def _add(
        self, addresses: list[deposit_addresses_pb2.DepositAddress]
    ) -> deposit_addresses_pb2.AddDepositAddressesResponse:
        context = types_pb2.RequestContext(request_id=new_id("req"), mode=types_pb2.MODE_TEST)
        request = deposit_addresses_pb2.AddDepositAddressesRequest(context=context, addresses=addresses)
        return await self._trade.deposit_addresses.AddDepositAddresses(request)


def _fresh(network: str, currency: str) -> deposit_addresses_pb2.DepositAddress:
    return deposit_addresses_pb2.DepositAddress(
        address=f"TEST{secrets.token_hex(16)}", network=network, currency=currency
    )
