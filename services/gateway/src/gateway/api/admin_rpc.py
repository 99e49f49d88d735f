"""The way in for colleagues who provision partners: `pools.gateway.v1.AdminService` on the internal port."""

from __future__ import annotations

import time
from typing import Final

from gateway.api import admin_messages as messages
from gateway.api.paging import page_of
from gateway.api.webhook_messages import delivery_filter, delivery_message
from gateway.app.administration import Administration
from gateway.app.keys import OVERLAP_SECONDS, Keys
from gateway.app.webhook_desk import WebhookDesk
from poolkit.context import CallContext, current_request_id
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.gateway.v1 import admin_pb2, admin_pb2_grpc

SECONDS_MAX: Final = 4.0


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, administration: Administration, keys: Keys, desk: WebhookDesk, mode: str) -> None:
        self._administration = administration
        self._keys = keys
        self._desk = desk
        self._mode = mode

    async def CreateOrganization(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.CreateOrganizationRequest, context: Context
    ) -> admin_pb2.CreateOrganizationResponse:
        """Makes an organization with its keys and funding references."""
        created = await self._administration.create_organization(
            self._context(""), name=request.name, pool_ids=list(request.pool_ids), tier=request.tier
        )
        return admin_pb2.CreateOrganizationResponse(
            organization_id=created.entitlement.organization_id,
            publishable_key=created.publishable.text,
            secret_key=created.secret.text,
            funding_references=created.funding_references,
            entitlement=messages.entitlement_message(created.entitlement),
        )

    async def GetEntitlement(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.GetEntitlementRequest, context: Context
    ) -> admin_pb2.GetEntitlementResponse:
        """Reads an entitlement."""
        found = await self._administration.entitlement(request.organization_id, self._mode)
        return admin_pb2.GetEntitlementResponse(entitlement=messages.entitlement_message(found))

    async def UpdateEntitlement(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.UpdateEntitlementRequest, context: Context
    ) -> admin_pb2.UpdateEntitlementResponse:
        """Changes an entitlement."""
        change = messages.entitlement_change(request)
        after = await self._administration.update_entitlement(self._context(request.organization_id), change)
        return admin_pb2.UpdateEntitlementResponse(entitlement=messages.entitlement_message(after))

    async def CreateKey(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.CreateKeyRequest, context: Context
    ) -> admin_pb2.CreateKeyResponse:
        """Makes a key."""
        kind = messages.key_kind(request.kind)
        created = await self._keys.create(self._context(request.organization_id), kind, request.label)
        return admin_pb2.CreateKeyResponse(api_key=messages.key_message(created.stored), plaintext_key=created.text)

    async def ListKeys(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.ListKeysRequest, context: Context
    ) -> admin_pb2.ListKeysResponse:
        """Lists keys, newest first."""
        size = page_size(request.page_size)
        rows = await self._keys.page(request.organization_id, before=request.page_token, limit=size + 1)
        page, token = page_of(rows, size, lambda key: key.key_id)
        return admin_pb2.ListKeysResponse(api_keys=[messages.key_message(key) for key in page], next_page_token=token)

    async def RevokeKey(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.RevokeKeyRequest, context: Context
    ) -> admin_pb2.RevokeKeyResponse:
        """Revokes a key for good."""
        revoked = await self._keys.revoke(request.key_id)
        return admin_pb2.RevokeKeyResponse(api_key=messages.key_message(revoked))

    async def RotateKey(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.RotateKeyRequest, context: Context
    ) -> admin_pb2.RotateKeyResponse:
        """Makes a key in the place of another."""
        overlap = request.overlap.seconds + request.overlap.nanos / 1e9
        rotated = await self._keys.rotate(
            self._context(request.organization_id),
            request.key_id,
            overlap_seconds=overlap if request.HasField("overlap") else OVERLAP_SECONDS,
        )
        return admin_pb2.RotateKeyResponse(
            api_key=messages.key_message(rotated.created.stored),
            plaintext_key=rotated.created.text,
            replaced_key=messages.key_message(rotated.replaced),
        )

    async def CreateWebhookEndpoint(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.CreateWebhookEndpointRequest, context: Context
    ) -> admin_pb2.CreateWebhookEndpointResponse:
        """Adds a webhook endpoint."""
        created = await self._administration.create_endpoint(self._context(request.organization_id), request.url)
        return admin_pb2.CreateWebhookEndpointResponse(endpoint_id=created.endpoint_id, secret=created.secret)

    async def ListDeliveries(  # noqa: N802 - the RPC's name
        self, request: admin_pb2.ListDeliveriesRequest, context: Context
    ) -> admin_pb2.ListDeliveriesResponse:
        """Lists deliveries, newest first."""
        size = page_size(request.page_size)
        rows = await self._desk.list_deliveries(delivery_filter(request), before=request.page_token, limit=size + 1)
        page, token = page_of(rows, size, lambda delivery: delivery.delivery_id)
        return admin_pb2.ListDeliveriesResponse(
            deliveries=[delivery_message(delivery) for delivery in page], next_page_token=token
        )

    def _context(self, organization_id: str) -> CallContext:
        return CallContext(
            current_request_id.get(), organization_id, self._mode, current_traceparent(), time.time() + SECONDS_MAX
        )
