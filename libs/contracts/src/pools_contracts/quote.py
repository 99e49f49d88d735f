"""The way to the quote service."""

import grpc

from pools.quote.v1 import inventory_facts_pb2_grpc, quote_pb2_grpc
from pools.types.v1 import journey_pb2_grpc, outbox_pb2_grpc
from pools_contracts.channel import certificate_name, open_channel
from pools_contracts.client import Client


class QuoteClient(Client):
    """Typed stubs of the quote service over one channel, of one's own or from `connect`."""

    service = "pools.quote.v1.QuoteService"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.quote = quote_pb2_grpc.QuoteServiceStub(channel)
        self.admin = quote_pb2_grpc.QuoteAdminServiceStub(channel)
        self.facts = inventory_facts_pb2_grpc.InventoryFactsServiceStub(channel)
        self.journey = journey_pb2_grpc.JourneyServiceStub(channel)
        self.outbox = outbox_pb2_grpc.OutboxServiceStub(channel)


def connect(address: str, *, caller: str = "", credentials: grpc.ChannelCredentials | None = None) -> QuoteClient:
    """A client of the quote service at `host:port`, with the deadlines and retries of `policies`."""
    service = QuoteClient.service
    channel = open_channel(
        address, caller=caller, service=service, callee=certificate_name(service), credentials=credentials
    )
    return QuoteClient(channel)
