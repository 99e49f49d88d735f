"""Owns the demo's one trade: a partner pays in, asks a price, accepts it, is told of settlement, reads its ledger."""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from poolctl.commands.documents import Document
from poolctl.commands.journey import find_journey
from poolctl.commands.trace import tree_of
from poolctl.demo.narrator import Narrator
from poolctl.failure import CommandFailure
from poolctl.partner_api import PartnerApi
from poolctl.payin import pay_in
from poolctl.receiver import Received, WebhookReceiver
from poolctl.screen import amount_text, seconds_text
from poolctl.session import Session
from poolctl.tracing.tree import SpanNode, walk
from poolctl.waiting import until
from poolkit.errors import NotFound
from poolkit.ids import new_id
from pools.gateway.v1 import admin_pb2
from pools.ledger.v1 import ledger_pb2
from pools.types.v1 import types_pb2

POOL, CURRENCY = "EUR-USDT", "EUR"
PAID_IN, ORDER, LEFT = "1000.00", "100.00", "900.00"
# The last four digits choose the outcome: settled.
DESTINATION = "TDemoPartnerWa11etXXXXXXXXXXXX0001"
ENDPOINT = "demo"
SERVICES = {"gateway", "quote", "trade", "webhook-ingest", "ledger"}


@dataclass(slots=True)
class Partner:
    """The organization the demo makes."""

    organization_id: str
    secret_key: str


@dataclass(slots=True)
class Told:
    """What the story ended with; the parts of `poolctl demo --json`."""

    partner: Partner
    quote: Document
    trade: Document
    webhook: Received
    settled_seconds: float
    ledger: Document
    books: list[tuple[str, str, str]]
    balanced: bool
    journey: Document
    spans: list[SpanNode]
    request_id: str


async def tell_story(session: Session, receiver: WebhookReceiver, narrator: Narrator) -> Told:
    """Everything between a ready stack and the last reading, in the order in which it happens."""
    partner = await _onboard(session, receiver, narrator)
    async with PartnerApi(session.addresses.rest, partner.secret_key) as api:
        await _pay_in(session, partner, narrator)
        quote = await _ask_price(api, narrator)
        request_id = new_id("req")
        began = time.monotonic()
        trade = await _accept(api, quote, request_id, narrator)
        webhook = await _hear(receiver, trade, narrator)
        settled_seconds = webhook.received_at - began
        ledger = await _read_ledger(session, api, partner, narrator)
    books, balanced = await _read_books(session, narrator)
    journey = await _find_journey(session, trade, narrator)
    spans = await _find_trace(session, request_id, narrator)
    return Told(
        partner, quote, webhook.trade, webhook, settled_seconds, ledger, books, balanced, journey, spans, request_id
    )


async def _onboard(session: Session, receiver: WebhookReceiver, narrator: Narrator) -> Partner:
    with narrator.step("partner") as step:
        made = await session.gateway.admin.CreateOrganization(
            admin_pb2.CreateOrganizationRequest(name="Demo Wallet", pool_ids=[POOL])
        )
        step.tell(f"{made.organization_id} with a publishable and a secret key")
    with narrator.step("endpoint") as step:
        endpoint = await session.gateway.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=made.organization_id, url=receiver.url(ENDPOINT))
        )
        receiver.trust(ENDPOINT, endpoint.secret)
        step.tell(f"{receiver.url(ENDPOINT)}, with a secret of its own")
    return Partner(made.organization_id, made.secret_key)


async def _pay_in(session: Session, partner: Partner, narrator: Narrator) -> None:
    with narrator.step("pay-in") as step:
        await pay_in(session, partner.organization_id, currency=CURRENCY, amount=PAID_IN)
        await _posted(session, partner, PAID_IN)
        step.tell(f"{amount_text(PAID_IN)} {CURRENCY}: signed bank webhook → Kafka → ledger entry")


async def _posted(session: Session, partner: Partner, amount: str) -> None:
    """Waits for the ledger to have posted up to an amount. Asks the ledger itself: every look through the partner API
    would be a request of the partner's, recorded as one of the few traces a second."""
    context = types_pb2.RequestContext(
        request_id=session.request_id, organization_id=partner.organization_id, mode=types_pb2.MODE_TEST
    )
    request = ledger_pb2.GetBalancesRequest(items=[ledger_pb2.GetBalancesItem(context=context, currency=CURRENCY)])

    async def posted() -> bool | None:
        answer = await session.ledger.ledger.GetBalances(request)
        return answer.balances[0].posted.amount == amount or None

    await until(posted, seconds=15, what=f"The ledger's entry that makes {amount} {CURRENCY}")


async def _ask_price(api: PartnerApi, narrator: Narrator) -> Document:
    with narrator.step("quote") as step:
        quote = await api.create_quote(
            POOL,
            {
                "side": "on_ramp",
                "amount": ORDER,
                "amountCurrency": CURRENCY,
                "network": "tron",
                "destinationAddress": DESTINATION,
                "type": "firm",
                "clientReference": "demo_order_1",
            },
        )
        step.tell(
            f"{quote['fiatAmount']} EUR → {quote['cryptoAmount']} USDT at {quote['rate']}, "
            f"{quote['spreadBps']} bps, fee {quote['feeAmount']} EUR"
        )
    return quote


async def _accept(api: PartnerApi, quote: Document, request_id: str, narrator: Narrator) -> Document:
    with narrator.step("transact") as step:
        trade = await api.transact(
            POOL, quote["quoteId"], idempotency_key=f"demo-{uuid.uuid4()}", request_id=request_id
        )
        step.tell(f"{trade['transactId']} {trade['status']}")
    return trade


async def _hear(receiver: WebhookReceiver, trade: Document, narrator: Narrator) -> Received:
    with narrator.step("webhook") as step:
        try:
            webhook = await receiver.event_of(trade["transactId"], seconds=20)
        except TimeoutError:

            async def never() -> Received | None:
                return None

            webhook = await until(never, seconds=0, what="The partner's webhook")
        step.tell(f"{webhook.type}, signature verified by `standardwebhooks`")
    return webhook


async def _read_ledger(session: Session, api: PartnerApi, partner: Partner, narrator: Narrator) -> Document:
    with narrator.step("ledger") as step:
        await _posted(session, partner, LEFT)
        ledger = await api.list_ledger(CURRENCY)
        step.tell(f"{amount_text(ledger['available'])} {CURRENCY} available")
    return ledger


async def _read_books(session: Session, narrator: Narrator) -> tuple[list[tuple[str, str, str]], bool]:
    with narrator.step("trial balance") as step:
        books = await session.ledger.admin.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
        step.tell("every currency sums to zero" if books.balanced else "DOES NOT SUM TO ZERO")
    return [(line.account_kind, line.amount.currency, line.amount.amount) for line in books.lines], books.balanced


async def _find_journey(session: Session, trade: Document, narrator: Narrator) -> Document:
    with narrator.step("journey") as step:

        async def whole() -> Document | None:
            try:
                journey = await find_journey(session, trade["transactId"])
            except NotFound:
                return None
            kinds = {record["kind"] for record in journey["records"]}
            return journey if {"entry", "delivery", "webhook_in"} <= kinds else None

        journey = await until(whole, seconds=10, what="The whole journey")
        owners = {record["service"] for record in journey["records"]}
        step.tell(f"{len(journey['records'])} records of {len(owners)} services, found by the trade's id")
    return journey


async def _find_trace(session: Session, request_id: str, narrator: Narrator) -> list[SpanNode]:
    with narrator.step("trace") as step:
        roots: list[SpanNode] = []

        async def whole() -> bool | None:
            roots[:] = tree_of(session.addresses.layout.spans, request_id)
            return {node.span.service for node in walk(roots)} >= SERVICES or None

        try:
            await until(whole, seconds=5, what="The spans of all five services")
        except CommandFailure:
            # A busy stack records a few new traces a second, and this was none of them.
            step.tell("not all of it was recorded; the journey tells it whole")
            return roots
        nodes = list(walk(roots))
        took = (max(n.span.end_ns for n in nodes) - min(n.span.start_ns for n in nodes)) / 1e9
        step.tell(f"{len(nodes)} spans in {len({n.span.process_id for n in nodes})} processes, {seconds_text(took)}")
    return roots


def document_of(told: Told) -> dict[str, Any]:
    """The ids and outcomes."""
    return {
        "organizationId": told.partner.organization_id,
        "quoteId": told.quote["quoteId"],
        "transactId": told.trade["transactId"],
        "requestId": told.request_id,
        "status": told.trade["status"],
        "webhook": {
            "eventId": told.webhook.event_id,
            "type": told.webhook.type,
            "verified": True,
            "secondsAfterTransact": round(told.settled_seconds, 4),
        },
        "quote": told.quote,
        "trade": told.trade,
        "ledger": told.ledger,
        "trialBalance": {
            "balanced": told.balanced,
            "lines": [{"kind": kind, "currency": currency, "amount": amount} for kind, currency, amount in told.books],
        },
        "journey": told.journey,
    }
