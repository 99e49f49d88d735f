"""Owns one transfer to a partner: the reference it carries, and the webhook with which the sandbox bank tells of it."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp

from poolctl.failure import CommandFailure
from poolctl.session import Session
from poolctl.stack.secrets import DevSecrets
from poolkit.ids import new_id
from poolkit.security import sign_standard
from pools.gateway.v1 import admin_pb2
from pools.ledger.v1 import ledger_pb2
from pools.types.v1 import types_pb2

BANK_SOURCE = "sandbox-bank"


async def pay_in(session: Session, organization_id: str, *, currency: str, amount: str) -> dict[str, Any]:
    """`{"webhookId", "eventId"}` once webhook-ingest has stored it. Each call is another transfer."""
    reference = await _funding_reference(session, organization_id, currency)
    number = new_id("evt").removeprefix("evt_")
    event_id = f"bank_evt_{number}"
    body = {
        "eventId": event_id,
        "kind": "payin.credited",
        "fundingReference": reference,
        "bankTransactionId": f"bank_tx_{number}",
        "currency": currency,
        "amount": amount,
        "occurredAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    answer = await _post_as_bank(session, event_id, json.dumps(body, separators=(",", ":")).encode())
    return {"webhookId": answer["webhookId"], "eventId": event_id}


async def _funding_reference(session: Session, organization_id: str, currency: str) -> str:
    # An update that changes nothing: an organization nobody knows is refused before a reference is made for it.
    await session.gateway.admin.UpdateEntitlement(admin_pb2.UpdateEntitlementRequest(organization_id=organization_id))
    context = types_pb2.RequestContext(
        request_id=session.request_id, organization_id=organization_id, mode=types_pb2.MODE_TEST
    )
    item = ledger_pb2.FundingReferenceItem(context=context, currency=currency)
    answer = await session.ledger.ledger.EnsureFundingReferences(
        ledger_pb2.EnsureFundingReferencesRequest(items=[item])
    )
    reference: str = answer.references[0].reference
    return reference


async def _post_as_bank(session: Session, event_id: str, body: bytes) -> dict[str, Any]:
    secret = DevSecrets.load_or_create(session.addresses.layout.secrets_file).bank_source_secret
    headers = {
        **sign_standard([secret], event_id, int(time.time()), body),
        "content-type": "application/json",
        "x-request-id": session.request_id,
    }
    url = f"{session.addresses.webhooks}/v1/webhooks/{BANK_SOURCE}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.post(url, data=body, headers=headers) as response,
        ):
            answer: dict[str, Any] = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
        why = str(failure) or type(failure).__name__
        raise CommandFailure(f"webhook-ingest did not answer ({why}).", request_id=session.request_id) from failure
    if response.status >= 400:
        said = answer.get("message") or answer.get("code") or ""
        request_id = str(answer.get("request_id") or session.request_id)
        raise CommandFailure(f"webhook-ingest refused the pay-in: {response.status} {said}", request_id=request_id)
    return answer
