"""Owns a load run: partners of its own, workers that make one journey after the other, and the time it all takes."""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from poolctl.failure import CommandFailure
from poolctl.loading.figures import Figures
from poolctl.partner_api import PartnerApi, PartnerRefusal
from poolctl.payin import pay_in
from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from poolctl.waiting import until
from pools.gateway.v1 import admin_pb2

POOL, CURRENCY, ORDER = "EUR-USDT", "EUR", "10.00"
PAID_IN = "10000000.00"
DESTINATION = "TLoadPartnerWa11etXXXXXXXXXXXX0001"
# Partners are many in life: one organization's rows would queue behind each other as no real load does.
WORKERS_A_PARTNER = 8
_WEBHOOK_SECONDS = 30.0
_WATCH_EVERY_SECONDS = 0.25

Watch = Callable[[Figures, float], None]
"""Called with the figures so far and the seconds passed."""


@dataclass(frozen=True, slots=True)
class LoadPartner:
    """An organization with money, and its client."""

    api: PartnerApi
    organization_id: str


async def run_load(
    session: Session, *, seconds: float, concurrency: int, watch: Watch | None = None
) -> tuple[Figures, float]:
    """Journeys for `seconds`, `concurrency` at once; those under way are finished. Answers figures and time taken."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(WebhookReceiver())
        partners = [
            await _ready_partner(session, receiver, stack, number)
            for number in range(1, -(-concurrency // WORKERS_A_PARTNER) + 1)
        ]
        figures = Figures()
        began = time.monotonic()
        watching = asyncio.create_task(_watch(figures, began, watch)) if watch is not None else None
        workers = (
            _work(partners[number % len(partners)], receiver, figures, until_time=began + seconds)
            for number in range(concurrency)
        )
        try:
            await asyncio.gather(*workers)
        finally:
            if watching is not None:
                watching.cancel()
        return figures, time.monotonic() - began


async def _ready_partner(
    session: Session, receiver: WebhookReceiver, stack: AsyncExitStack, number: int
) -> LoadPartner:
    admin = session.gateway.admin
    made = await admin.CreateOrganization(admin_pb2.CreateOrganizationRequest(name=f"Load {number}", pool_ids=[POOL]))
    path = made.organization_id
    endpoint = await admin.CreateWebhookEndpoint(
        admin_pb2.CreateWebhookEndpointRequest(organization_id=made.organization_id, url=receiver.url(path))
    )
    receiver.trust(path, endpoint.secret)
    api = await stack.enter_async_context(
        PartnerApi(session.addresses.rest, made.secret_key, connections_max=WORKERS_A_PARTNER)
    )
    await pay_in(session, made.organization_id, currency=CURRENCY, amount=PAID_IN)

    async def credited() -> bool | None:
        return (await api.list_ledger(CURRENCY))["available"] == PAID_IN or None

    await until(credited, seconds=20, what="The pay-in's entry in the ledger")
    return LoadPartner(api, made.organization_id)


async def _work(partner: LoadPartner, receiver: WebhookReceiver, figures: Figures, *, until_time: float) -> None:
    while time.monotonic() < until_time:
        try:
            await _journey(partner.api, receiver, figures)
        except PartnerRefusal as refusal:
            figures.fail(refusal.code, refusal.request_id)
        except CommandFailure as failure:
            figures.fail("no_answer", failure.request_id)


async def _journey(api: PartnerApi, receiver: WebhookReceiver, figures: Figures) -> None:
    began = time.monotonic()
    quote = await api.create_quote(
        POOL,
        {
            "side": "on_ramp",
            "amount": ORDER,
            "amountCurrency": CURRENCY,
            "network": "tron",
            "destinationAddress": DESTINATION,
        },
    )
    quoted = time.monotonic()
    figures.times["quote"].append(quoted - began)
    if not quote["available"]:
        figures.fail(quote["unavailableReason"], None)
        return
    trade = await api.transact(POOL, quote["quoteId"], idempotency_key=uuid.uuid4().hex)
    reserved = time.monotonic()
    figures.times["transact"].append(reserved - quoted)
    try:
        webhook = await receiver.event_of(trade["transactId"], seconds=_WEBHOOK_SECONDS)
    except TimeoutError:
        figures.fail("no_webhook", trade["requestId"])
        return
    receiver.forget(trade["transactId"])
    if webhook.trade["status"] != "settled":
        figures.fail(webhook.trade["status"], trade["requestId"])
        return
    figures.times["webhook"].append(max(0.0, webhook.received_at - reserved))
    figures.times["journey"].append(webhook.received_at - began)


async def _watch(figures: Figures, began: float, watch: Watch) -> None:
    while True:
        watch(figures, time.monotonic() - began)
        await asyncio.sleep(_WATCH_EVERY_SECONDS)
