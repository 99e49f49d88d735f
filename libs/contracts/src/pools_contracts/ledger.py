"""The way to the ledger service."""

import grpc

from pools.ledger.v1 import (
    audit_pb2_grpc,
    close_pb2_grpc,
    funding_references_pb2_grpc,
    inbox_pb2_grpc,
    ledger_pb2_grpc,
)
from pools.types.v1 import journey_pb2_grpc
from pools_contracts.channel import certificate_name, open_channel
from pools_contracts.client import Client


class LedgerClient(Client):
    """Typed stubs of the ledger service over one channel, of one's own or from `connect`."""

    service = "pools.ledger.v1.LedgerService"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        self.admin = ledger_pb2_grpc.LedgerAdminServiceStub(channel)
        self.audit = audit_pb2_grpc.AuditServiceStub(channel)
        self.closes = close_pb2_grpc.CloseServiceStub(channel)
        self.funding_references = funding_references_pb2_grpc.FundingReferenceServiceStub(channel)
        self.inbox = inbox_pb2_grpc.InboxServiceStub(channel)
        self.journey = journey_pb2_grpc.JourneyServiceStub(channel)


def connect(address: str, *, caller: str = "", credentials: grpc.ChannelCredentials | None = None) -> LedgerClient:
    """A client of the ledger service at `host:port`, with the deadlines and retries of `policies`."""
    service = LedgerClient.service
    channel = open_channel(
        address, caller=caller, service=service, callee=certificate_name(service), credentials=credentials
    )
    return LedgerClient(channel)
