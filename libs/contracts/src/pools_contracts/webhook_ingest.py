"""The way to webhook-ingest's internal port; webhooks themselves come over HTTP."""

import grpc

from pools.types.v1 import journey_pb2_grpc, outbox_pb2_grpc
from pools.webhook_ingest.v1 import (
    payins_pb2_grpc,
    report_facts_pb2_grpc,
    settlement_status_pb2_grpc,
    webhook_ingest_pb2_grpc,
)
from pools_contracts.channel import certificate_name, open_channel
from pools_contracts.client import Client


class WebhookIngestClient(Client):
    """Typed stubs of the webhook-ingest service over one channel, of one's own or from `connect`."""

    service = "pools.webhook_ingest.v1.WebhookAdminService"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.admin = webhook_ingest_pb2_grpc.WebhookAdminServiceStub(channel)
        self.settlement_status = settlement_status_pb2_grpc.SettlementStatusServiceStub(channel)
        self.facts = report_facts_pb2_grpc.ReportFactsServiceStub(channel)
        self.payins = payins_pb2_grpc.PayinServiceStub(channel)
        self.journey = journey_pb2_grpc.JourneyServiceStub(channel)
        self.outbox = outbox_pb2_grpc.OutboxServiceStub(channel)


def connect(
    address: str, *, caller: str = "", credentials: grpc.ChannelCredentials | None = None
) -> WebhookIngestClient:
    """A client of the webhook-ingest service at `host:port`, with the deadlines and retries of `policies`."""
    service = WebhookIngestClient.service
    channel = open_channel(
        address, caller=caller, service=service, callee=certificate_name(service), credentials=credentials
    )
    return WebhookIngestClient(channel)
