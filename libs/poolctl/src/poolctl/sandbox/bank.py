"""Owns the simulated bank: it tells of money received by a signed webhook, as a real one would."""

import json
from datetime import UTC, datetime
from typing import NamedTuple

import aiohttp

from poolctl.sandbox.delivery import Poster, WebhookSender, open_session
from poolctl.sandbox.names import BANK_SOURCE
from poolkit.ids import new_id

TRIES_MAX = 4


class PayinReceipt(NamedTuple):
    """What the bank knows once webhook-ingest has stored its webhook."""

    webhook_id: str
    event_id: str
    bank_transaction_id: str
    duplicate: bool


async def post_payin(
    webhooks_url: str,
    secret: str,
    *,
    funding_reference: str,
    currency: str,
    amount: str,
    bank_transaction_id: str = "",
    occurred_at: datetime | None = None,
    request_id: str = "",
    http: aiohttp.ClientSession | None = None,
) -> PayinReceipt:
    """Tells of one transfer; durable when it returns. Each call is another transfer, unless it names the transaction.

    The same transaction with the same fields and moment is the same event again. Raises WebhookRefused when
    webhook-ingest will never take it, Unavailable when it does not answer.
    """
    if http is None:
        async with open_session(1) as own:
            return await post_payin(
                webhooks_url,
                secret,
                funding_reference=funding_reference,
                currency=currency,
                amount=amount,
                bank_transaction_id=bank_transaction_id,
                occurred_at=occurred_at,
                request_id=request_id,
                http=own,
            )
    transaction_id = bank_transaction_id or f"bank_tx_{new_id('evt').removeprefix('evt_')}"
    event_id = f"bank_evt_{transaction_id.removeprefix('bank_tx_')}"
    moment = (occurred_at or datetime.now(UTC)).astimezone(UTC)
    body = {
        "eventId": event_id,
        "kind": "payin.credited",
        "fundingReference": funding_reference,
        "bankTransactionId": transaction_id,
        "currency": currency,
        "amount": amount,
        "occurredAt": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    sender = WebhookSender(http, webhooks_url, Poster(BANK_SOURCE, secret))
    answer = await sender.send(
        event_id,
        json.dumps(body, separators=(",", ":")).encode(),
        request_id=request_id,
        traceparent="",
        tries_max=TRIES_MAX,
    )
    taken = json.loads(answer)
    return PayinReceipt(taken["webhookId"], event_id, transaction_id, taken["duplicate"])
