"""The whole house: five real services, and what a bank and a settlement provider would do to it from outside."""

import json
import time
from contextlib import AsyncExitStack

import httpx

from ledger.main import build as build_ledger
from ledger.settings import LedgerSettings
from poolctl.stack.ports import free_port
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.rpc.channels import open_channel
from poolkit.security import new_encryption_key, sign_standard
from pools.gateway.v1 import admin_pb2
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from pools_contracts.quote import QuoteClient
from pools_contracts.webhook_ingest import WebhookIngestClient
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import Partner, RunningGateway, running, settings_of, start_gateway, start_quote
from tests.integration.provider import Provider, serving_provider
from tests.waiting import eventually
from trade.main import build as build_trade
from trade.settings import TradeSettings
from webhook_ingest.main import build as build_webhook_ingest
from webhook_ingest.settings import WebhookIngestSettings

IBANS = {"EUR": "DE02120300000000202051"}
POLL_PAUSE_SECONDS = 0.2
"""How often the provider is asked about one trade at most."""


class House:
    """What a test does as a partner, as the bank, and as the settlement provider."""

    def __init__(
        self,
        gateway: RunningGateway,
        quote: QuoteClient,
        http: httpx.AsyncClient,
        webhooks: str,
        provider: Provider,
        trade_database: Database,
    ) -> None:
        self.gateway = gateway
        self.quote = quote
        self.http = http
        self.provider = provider
        self.trade_database = trade_database
        self._webhooks = webhooks
        self._secrets: dict[str, str] = {}

    async def add_source(self, client: WebhookIngestClient, name: str, *kinds: str) -> None:
        """Somebody who may post webhooks."""
        made = await client.admin.CreateSource(webhook_ingest_pb2.CreateSourceRequest(name=name, kinds=kinds))
        self._secrets[name] = made.secret

    async def onboard(self, name: str = "Shop", *, money: str = "") -> Partner:
        """A partner made as operations do it, with so much EUR paid in."""
        made = await self.gateway.internal.admin.CreateOrganization(admin_pb2.CreateOrganizationRequest(name=name))
        partner = Partner(made.organization_id, made.secret_key, made.publishable_key, dict(made.funding_references))
        if money:
            await self.pay_in(partner, money)
        return partner

    async def pay_in(self, partner: Partner, amount: str) -> None:
        """The bank tells of money, and it arrives."""
        await self._post(
            "bank",
            {
                "eventId": new_id("evt"),
                "kind": "payin.credited",
                "fundingReference": partner.funding_references["EUR"],
                "bankTransactionId": new_id("evt"),
                "currency": "EUR",
                "amount": amount,
                "occurredAt": "2026-11-22T10:00:00Z",
            },
        )
        caller = Caller(self.gateway, self.http, "rest", partner.secret_key)

        async def arrived() -> bool:
            return (await caller.ledger()).body["available"] != "0.00"

        await eventually(arrived, "the money arrives")

    async def report(self, transact_id: str, kind: str, **fields: str) -> None:
        """The settlement provider tells what became of a trade."""
        event = {
            "eventId": new_id("evt"),
            "kind": f"trade.{kind}",
            "transactId": transact_id,
            "occurredAt": "2026-11-22T10:00:00Z",
        }
        await self._post("settlement", event | fields)

    async def post_report(self, event: dict[str, str]) -> dict[str, object]:
        """The settlement provider posts this event; the answer."""
        return await self._post("settlement", event)

    async def _post(self, source: str, event: dict[str, str]) -> dict[str, object]:
        body = json.dumps(event).encode()
        headers = sign_standard([self._secrets[source]], event["eventId"], int(time.time()), body)
        response = await self.http.post(f"{self._webhooks}/v1/webhooks/{source}", content=body, headers=headers)
        assert response.status_code == 200, response.text
        answer: dict[str, object] = response.json()
        return answer


async def start_house(
    stack: AsyncExitStack, postgres: RunningPostgres, bootstrap: str, http: httpx.AsyncClient
) -> House:
    """All five services, with inventory, rates, a bank and a settlement provider that posts, and answers when asked."""
    provider = await stack.enter_async_context(serving_provider())

    async def settings(service: str) -> dict[str, object]:
        return settings_of(await postgres.fresh_database(service), bootstrap)

    quote_address, quote = await start_quote(stack, postgres, bootstrap)
    ledger = LedgerSettings(**await settings("ledger"))
    await stack.enter_async_context(running("ledger", ledger, build_ledger))
    trade = TradeSettings(**await settings("trade"), quote_address=quote_address, ledger_address=ledger.grpc_listen)
    await stack.enter_async_context(running("trade", trade, build_trade))
    webhook_ingest = WebhookIngestSettings(
        **await settings("webhook_ingest"),
        webhook_listen=f"127.0.0.1:{free_port()}",
        encryption_key=new_encryption_key(),
        trade_address=trade.grpc_listen,
        ledger_address=ledger.grpc_listen,
        provider_url=provider.url,
        provider_token="a token that the provider gave us",
        provider_pause_seconds=POLL_PAUSE_SECONDS,
        provider_seconds_max=0.4,
        reserved_seconds_max=3600,
    )
    await stack.enter_async_context(running("webhook-ingest", webhook_ingest, build_webhook_ingest))
    gateway = await start_gateway(
        stack,
        postgres,
        bootstrap,
        quote_address=quote_address,
        trade_address=trade.grpc_listen,
        ledger_address=ledger.grpc_listen,
        webhook_ingest_address=webhook_ingest.grpc_listen,
        funding_ibans=IBANS,
    )
    trade_url = postgres.admin_url(trade.database_url.get_secret_value())
    trade_database = Database(trade_url, application_name="test", pool_size=1)
    stack.push_async_callback(trade_database.close)
    house = House(gateway, quote, http, f"http://{webhook_ingest.webhook_listen}", provider, trade_database)
    client = WebhookIngestClient(open_channel(webhook_ingest.grpc_listen, "test"))
    await house.add_source(client, "bank", "payin.credited")
    await house.add_source(client, "settlement")
    await client.close()
    return house
