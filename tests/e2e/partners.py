"""Partners in tests: an organization with keys, money and a webhook endpoint, and its clients over REST and gRPC."""

import ssl
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from poolctl.payin import pay_in
from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from pools.gateway.v1 import admin_pb2, partner_pb2
from pools.types.v1 import types_pb2
from pools_contracts.gateway import GatewayClient, connect
from tests.waiting import eventually

POOL = "EUR-USDT"
SETTLES = "TTestPartnerWa11etXXXXXXXXXXXX0001"

# The stack speaks plain HTTP here, and each client would read all the system's certificates: 30 ms of CPU a partner.
_TRUSTING_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def quote_body(**changes: Any) -> dict[str, Any]:
    """The worked example of the contract."""
    return {
        "side": "on_ramp",
        "amount": "100.00",
        "amountCurrency": "EUR",
        "network": "tron",
        "destinationAddress": SETTLES,
        "type": "firm",
        "clientReference": "mobile_checkout_123",
        **changes,
    }


class RestPartner:
    """The partner API over REST, as plain as a partner's server would call it."""

    def __init__(self, rest: str, key: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=rest,
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
            trust_env=False,
            verify=_TRUSTING_NOBODY,
        )

    async def quote(self, pool_id: str = POOL, **changes: Any) -> httpx.Response:
        return await self.http.post(f"/v1/pools/{pool_id}/quote", json=quote_body(**changes))

    async def transact(self, quote_id: str, *, key: str = "", pool_id: str = POOL, **body: Any) -> httpx.Response:
        return await self.http.post(
            f"/v1/pools/{pool_id}/transact",
            json={"quoteId": quote_id, **body},
            headers={"Idempotency-Key": key or uuid.uuid4().hex},
        )

    async def trade(self, trade_id: str) -> httpx.Response:
        return await self.http.get(f"/v1/pools/trades/{trade_id}")

    async def ledger(self, currency: str = "EUR") -> httpx.Response:
        return await self.http.get("/v1/pools/ledger", params={"currency": currency})

    async def accept(self, pool_id: str = POOL, **changes: Any) -> dict[str, Any]:
        """A quote accepted at once; the trade as first answered."""
        quote = await self.quote(pool_id, **changes)
        assert quote.status_code == 200, quote.text
        assert quote.json()["available"], quote.text
        answer = await self.transact(quote.json()["quoteId"], pool_id=pool_id)
        assert answer.status_code == 200, answer.text
        trade: dict[str, Any] = answer.json()
        return trade

    async def available(self, currency: str = "EUR") -> str:
        answer = await self.ledger(currency)
        assert answer.status_code == 200, answer.text
        amount: str = answer.json()["available"]
        return amount


class GrpcPartner:
    """The same operations over gRPC."""

    def __init__(self, client: GatewayClient, key: str) -> None:
        self.stub = client.partner
        self.metadata = (("authorization", f"Bearer {key}"),)

    async def quote(self, **changes: Any) -> types_pb2.Quote:
        fields: dict[str, Any] = {
            "pool_id": POOL,
            "side": types_pb2.SIDE_ON_RAMP,
            "amount": types_pb2.Money(amount="100.00", currency="EUR"),
            "network": "tron",
            "destination_address": SETTLES,
            "type": types_pb2.QUOTE_TYPE_FIRM,
            "client_reference": "mobile_checkout_123",
            **changes,
        }
        answer = await self.stub.CreateQuote(partner_pb2.CreateQuoteRequest(**fields), metadata=self.metadata)
        return answer.quote

    async def transact(self, quote_id: str, *, key: str = "") -> types_pb2.Trade:
        metadata = (*self.metadata, ("idempotency-key", key or uuid.uuid4().hex))
        request = partner_pb2.TransactQuoteRequest(pool_id=POOL, quote_id=quote_id)
        return (await self.stub.TransactQuote(request, metadata=metadata)).trade

    async def trade(self, trade_id: str) -> types_pb2.Trade:
        request = partner_pb2.GetTradeRequest(transact_id=trade_id)
        return (await self.stub.GetTrade(request, metadata=self.metadata)).trade

    async def ledger(self, currency: str = "EUR") -> partner_pb2.ListLedgerEntriesResponse:
        request = partner_pb2.ListLedgerEntriesRequest(currency=currency)
        return await self.stub.ListLedgerEntries(request, metadata=self.metadata)


@dataclass(slots=True)
class Partner:
    """An organization as its owner knows it."""

    organization_id: str
    secret_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    rest: RestPartner
    grpc: GrpcPartner


class PartnerFactory:
    """`await partners()` makes one, with 1,000.00 EUR and an endpoint of the receiver's unless told otherwise."""

    def __init__(self, session: Session, receiver: WebhookReceiver) -> None:
        self._session = session
        self._receiver = receiver
        self._closing = AsyncExitStack()
        self._client: GatewayClient | None = None

    async def __call__(
        self, *, paid_in: str = "1000.00", currency: str = "EUR", pools: tuple[str, ...] = (), endpoint: bool = True
    ) -> Partner:
        admin, addresses = self._session.gateway.admin, self._session.addresses
        made = await admin.CreateOrganization(admin_pb2.CreateOrganizationRequest(name="Test partner", pool_ids=pools))
        if self._client is None:
            self._client = await self._closing.enter_async_context(connect(addresses.grpc))
        rest = RestPartner(addresses.rest, made.secret_key)
        await self._closing.enter_async_context(rest.http)
        partner = Partner(
            organization_id=made.organization_id,
            secret_key=made.secret_key,
            publishable_key=made.publishable_key,
            rest=rest,
            grpc=GrpcPartner(self._client, made.secret_key),
        )
        if endpoint:
            await self._add_endpoint(partner)
        if Decimal(paid_in):
            await pay_in(self._session, partner.organization_id, currency=currency, amount=paid_in)

            async def credited() -> bool:
                return await rest.available(currency) == paid_in

            await eventually(credited, "the pay-in is in the ledger")
        return partner

    async def _add_endpoint(self, partner: Partner) -> None:
        url = self._receiver.url(partner.organization_id)
        endpoint = await self._session.gateway.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=url)
        )
        self._receiver.trust(partner.organization_id, endpoint.secret)

    async def close(self) -> None:
        """Closes every client."""
        await self._closing.aclose()
