"""The way in for the settlement side: `pools.trade.v1.DepositAddressService`."""

from __future__ import annotations

import re
from typing import Final

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.money import CRYPTO
from poolkit.rpc.batches import own_context
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.trade.v1 import deposit_addresses_pb2, deposit_addresses_pb2_grpc
from trade.store import deposits

ADDRESSES_MAX: Final = 1000
_ADDRESS: Final = re.compile(r"[A-Za-z0-9]{10,128}")
_NETWORK: Final = re.compile(r"[a-z0-9-]{1,64}")


class DepositAddressService(deposit_addresses_pb2_grpc.DepositAddressServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, mode: str) -> None:
        self._database = database
        self._mode = mode

    async def AddDepositAddresses(  # noqa: N802 - the RPC's name
        self, request: deposit_addresses_pb2.AddDepositAddressesRequest, context: Context
    ) -> deposit_addresses_pb2.AddDepositAddressesResponse:
        """Adds addresses and tells what is in stock."""
        own = own_context(request.context, self._mode, needs_organization=False)
        if len(request.addresses) > ADDRESSES_MAX:
            raise InvalidRequest(f"there may be {ADDRESSES_MAX} at once.", field="addresses")
        addresses = [_address(one) for one in request.addresses]
        added = 0
        if addresses:
            added = await deposits.add(
                self._database, addresses, request_id=own.request_id, traceparent=current_traceparent()
            )
        return deposit_addresses_pb2.AddDepositAddressesResponse(
            added_count=added,
            stocks=[
                deposit_addresses_pb2.DepositAddressStock(
                    network=stock.network, currency=stock.crypto_currency, free_count=stock.free_count
                )
                for stock in await deposits.stocks(self._database)
            ],
        )


def _address(given: deposit_addresses_pb2.DepositAddress) -> deposits.NewAddress:
    if not _ADDRESS.fullmatch(given.address):
        raise InvalidRequest("it must be 10 to 128 letters and digits.", field="addresses.address")
    if not _NETWORK.fullmatch(given.network):
        raise InvalidRequest("it must be the name of a network.", field="addresses.network")
    if given.currency not in CRYPTO:
        raise InvalidRequest(f"it must be one of {', '.join(sorted(CRYPTO))}.", field="addresses.currency")
    return deposits.NewAddress(given.address, given.network, given.currency)
