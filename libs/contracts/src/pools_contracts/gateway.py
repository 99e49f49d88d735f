"""The way to the gateway: partner operations on its partner port, admin and support on its internal one."""

import grpc

from pools.gateway.v1 import admin_pb2_grpc, partner_pb2_grpc, webhooks_pb2_grpc
from pools.types.v1 import journey_pb2_grpc
from pools_contracts.channel import open_channel
from pools_contracts.client import Client


class GatewayClient(Client):
    """Typed stubs of the gateway service over one channel, of one's own or from `connect`."""

    service = "pools.gateway.v1.PartnerService"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.partner = partner_pb2_grpc.PartnerServiceStub(channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(channel)
        self.webhooks = webhooks_pb2_grpc.WebhookServiceStub(channel)
        self.support = admin_pb2_grpc.SupportServiceStub(channel)
        self.journey = journey_pb2_grpc.JourneyServiceStub(channel)


def connect(
    address: str, *, caller: str = "", callee: str = "", credentials: grpc.ChannelCredentials | None = None
) -> GatewayClient:
    """A client of the gateway service at `host:port`, with the deadlines and retries of `policies`.

    With credentials, colleagues say `callee="gateway"`: that is the name in the internal port's certificate. The
    partners' port shows the public name that they call.
    """
    channel = open_channel(
        address, caller=caller, service=GatewayClient.service, callee=callee, credentials=credentials
    )
    return GatewayClient(channel)
