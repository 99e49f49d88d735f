"""Owns one transfer to a partner: the reference it carries, and the webhook with which the sandbox bank tells of it."""

import json
from typing import Any

from poolctl.deployment import refuse
from poolctl.failure import CommandFailure
from poolctl.sandbox.bank import PayinReceipt, post_payin
from poolctl.sandbox.delivery import WebhookRefused
from poolctl.session import Session
from poolctl.stack.secrets import DevSecrets
from poolkit.errors import Unavailable
from pools.gateway.v1 import admin_pb2
from pools.ledger.v1 import ledger_pb2
from pools.types.v1 import types_pb2


async def pay_in(
    session: Session, organization_id: str, *, currency: str, amount: str, reference: str | None = None
) -> dict[str, Any]:
    """`{"webhookId", "eventId"}` once webhook-ingest has stored it. Each call is another transfer.

    `reference` is what the payer wrote, where it is not the organization's own.
    """
    refuse(session.addresses.layout, "Banks tell a deployment of pay-ins, from a source of their own.")
    own = await _funding_reference(session, organization_id, currency)
    reference = own if reference is None else reference
    receipt = await _tell_as_bank(session, reference, currency=currency, amount=amount)
    return {"webhookId": receipt.webhook_id, "eventId": receipt.event_id}


async def _funding_reference(session: Session, organization_id: str, currency: str) -> str:
    # An organization nobody knows is refused before a reference is made for it.
    await session.gateway.admin.GetEntitlement(admin_pb2.GetEntitlementRequest(organization_id=organization_id))
    context = types_pb2.RequestContext(
        request_id=session.request_id, organization_id=organization_id, mode=types_pb2.MODE_TEST
    )
    item = ledger_pb2.FundingReferenceItem(context=context, currency=currency)
    answer = await session.ledger.ledger.EnsureFundingReferences(
        ledger_pb2.EnsureFundingReferencesRequest(items=[item])
    )
    reference: str = answer.references[0].reference
    return reference


async def _tell_as_bank(session: Session, reference: str, *, currency: str, amount: str) -> PayinReceipt:
    secret = DevSecrets.load_or_create(session.addresses.layout.secrets_file).bank_source_secret
    request_id = session.request_id
    try:
        return await post_payin(
            session.addresses.webhooks,
            secret,
            funding_reference=reference,
            currency=currency,
            amount=amount,
            request_id=request_id,
        )
    except Unavailable as failure:
        raise CommandFailure("webhook-ingest did not take the pay-in.", request_id=request_id) from failure
    except WebhookRefused as refused:
        said = _message(refused.body)
        raise CommandFailure(
            f"webhook-ingest refused the pay-in: {refused.status} {said}", request_id=request_id
        ) from refused


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""
