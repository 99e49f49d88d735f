"""The way in for colleagues who look after webhooks: `pools.gateway.v1.WebhookService` on the internal port."""

from __future__ import annotations

from typing import Final

from gateway.api import webhook_messages as messages
from gateway.api.paging import page_of
from gateway.app.webhook_desk import WebhookDesk
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from pools.gateway.v1 import webhooks_pb2, webhooks_pb2_grpc

REPLAY_PAGE_SIZE: Final = 500
REPLAY_PAGE_SIZE_MAX: Final = 1_000


class WebhookService(webhooks_pb2_grpc.WebhookServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, desk: WebhookDesk) -> None:
        self._desk = desk

    async def ListWebhookEndpoints(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.ListWebhookEndpointsRequest, context: Context
    ) -> webhooks_pb2.ListWebhookEndpointsResponse:
        """Lists an organization's endpoints."""
        size = page_size(request.page_size)
        rows = await self._desk.list_endpoints(request.organization_id, after=request.page_token, limit=size + 1)
        page, token = page_of(rows, size, lambda endpoint: endpoint.endpoint_id)
        return webhooks_pb2.ListWebhookEndpointsResponse(
            endpoints=[messages.endpoint_message(endpoint) for endpoint in page], next_page_token=token
        )

    async def DisableWebhookEndpoint(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.DisableWebhookEndpointRequest, context: Context
    ) -> webhooks_pb2.DisableWebhookEndpointResponse:
        """Posts nothing more to an endpoint."""
        disabled = await self._desk.disable(request.endpoint_id)
        return webhooks_pb2.DisableWebhookEndpointResponse(endpoint=messages.endpoint_message(disabled))

    async def EnableWebhookEndpoint(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.EnableWebhookEndpointRequest, context: Context
    ) -> webhooks_pb2.EnableWebhookEndpointResponse:
        """Posts to an endpoint again."""
        enabled = await self._desk.enable(request.endpoint_id)
        return webhooks_pb2.EnableWebhookEndpointResponse(endpoint=messages.endpoint_message(enabled))

    async def RotateWebhookSecret(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.RotateWebhookSecretRequest, context: Context
    ) -> webhooks_pb2.RotateWebhookSecretResponse:
        """Adds a secret."""
        rotated = await self._desk.rotate_secret(request.endpoint_id, request.overlap_seconds)
        return webhooks_pb2.RotateWebhookSecretResponse(
            endpoint=messages.endpoint_message(rotated.endpoint), secret=rotated.secret
        )

    async def GetDelivery(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.GetDeliveryRequest, context: Context
    ) -> webhooks_pb2.GetDeliveryResponse:
        """A delivery with its attempts."""
        delivery, attempts = await self._desk.find_delivery(request.delivery_id)
        endpoint = await self._desk.find_endpoint(delivery.endpoint_id)
        return webhooks_pb2.GetDeliveryResponse(
            delivery=messages.delivery_message(delivery),
            attempts=[messages.attempt_message(attempt) for attempt in attempts],
            endpoint=messages.endpoint_message(endpoint),
        )

    async def ReplayDelivery(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.ReplayDeliveryRequest, context: Context
    ) -> webhooks_pb2.ReplayDeliveryResponse:
        """Posts a delivery again."""
        delivery = await self._desk.replay(request.delivery_id, replayed_by=request.replayed_by)
        return webhooks_pb2.ReplayDeliveryResponse(delivery=messages.delivery_message(delivery))

    async def ReplayDeliveries(  # noqa: N802 - the RPC's name
        self, request: webhooks_pb2.ReplayDeliveriesRequest, context: Context
    ) -> webhooks_pb2.ReplayDeliveriesResponse:
        """Posts an endpoint's deliveries of a time range again, a page of them."""
        replayed, token = await self._desk.replay_range(
            messages.replay_filter(request),
            after=request.page_token,
            limit=page_size(request.page_size, default=REPLAY_PAGE_SIZE, largest=REPLAY_PAGE_SIZE_MAX),
            replayed_by=request.replayed_by,
        )
        return webhooks_pb2.ReplayDeliveriesResponse(delivery_ids=replayed, next_page_token=token)
