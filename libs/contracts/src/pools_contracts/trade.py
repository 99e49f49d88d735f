"""The way to the trade service."""

import grpc

from pools.trade.v1 import (
    deposit_addresses_pb2_grpc,
    reconciliation_pb2_grpc,
    trade_admin_pb2_grpc,
    trade_facts_pb2_grpc,
    trade_pb2_grpc,
)
from pools.types.v1 import journey_pb2_grpc, outbox_pb2_grpc
from pools_contracts.channel import certificate_name, open_channel
from pools_contracts.client import Client


class TradeClient(Client):
    """Typed stubs of the trade service over one channel, of one's own or from `connect`."""

    service = "pools.trade.v1.TradeService"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.trade = trade_pb2_grpc.TradeServiceStub(channel)
        self.deposit_addresses = deposit_addresses_pb2_grpc.DepositAddressServiceStub(channel)
        self.facts = trade_facts_pb2_grpc.TradeFactsServiceStub(channel)
        self.reconciliation = reconciliation_pb2_grpc.ReconciliationServiceStub(channel)
        self.admin = trade_admin_pb2_grpc.TradeAdminServiceStub(channel)
        self.journey = journey_pb2_grpc.JourneyServiceStub(channel)
        self.outbox = outbox_pb2_grpc.OutboxServiceStub(channel)


def connect(address: str, *, caller: str = "", credentials: grpc.ChannelCredentials | None = None) -> TradeClient:
    """A client of the trade service at `host:port`, with the deadlines and retries of `policies`."""
    service = TradeClient.service
    channel = open_channel(
        address, caller=caller, service=service, callee=certificate_name(service), credentials=credentials
    )
    return TradeClient(channel)
