"""The same partner call over either edge, with the answer in one shape, so that one table can be run over both."""

from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.api.openapi import refusals
from pools.gateway.v1 import partner_pb2
from pools.types.v1 import types_pb2
from tests.contract.test_partner_visible_fields import OPERATIONS
from tests.integration.gateway.house import RunningGateway

SIDES = {"on_ramp": types_pb2.SIDE_ON_RAMP, "off_ramp": types_pb2.SIDE_OFF_RAMP}
TYPES = {"firm": types_pb2.QUOTE_TYPE_FIRM, "indicative": types_pb2.QUOTE_TYPE_INDICATIVE}
EDGES = ("rest", "grpc")
# What each operation may answer according to the reference.
DOCUMENTED = {
    operation.rpc: {"ok", *(reason.reason.code for reason in refusals(operation))} for operation in OPERATIONS
}


@dataclass(frozen=True)
class Answer:
    """What came back: `ok` or the reason's code, and everything around it."""

    code: str
    body: Any
    """Parsed JSON, or the gRPC response."""
    request_id: str
    replayed: bool
    field: str = ""
    retry_after: int = 0


class Caller:
    """Calls as one partner over one edge."""

    def __init__(self, gateway: RunningGateway, http: httpx.AsyncClient, edge: str, key: str) -> None:
        self._gateway = gateway
        self._http = http
        self.edge = edge
        self.key = key

    async def list_pools(self, limit: int | None = None, cursor: str = "", **headers: str) -> Answer:
        message = partner_pb2.ListPoolsRequest(page_size=limit or 0, page_token=cursor)
        query = {"limit": limit, "cursor": cursor or None}
        path = str(httpx.URL("/v1/pools", params={name: value for name, value in query.items() if value is not None}))
        return await self.call("GET", path, "ListPools", message, headers=headers)

    async def create_quote(
        self, pool_id: str = "EUR-USDT", *, headers: dict[str, str] | None = None, **changes: Any
    ) -> Answer:
        fields = {
            "side": "on_ramp",
            "amount": "100.00",
            "amountCurrency": "EUR",
            "network": "tron",
            "destinationAddress": "TQabcdefgh0001",
            "clientReference": "order_1",
        } | changes
        body = {name: value for name, value in fields.items() if value is not None}
        message = partner_pb2.CreateQuoteRequest(
            pool_id=pool_id,
            side=SIDES[body["side"]],
            amount=types_pb2.Money(amount=body["amount"], currency=body["amountCurrency"]),
            network=body["network"],
            destination_address=body.get("destinationAddress"),
            type=TYPES[body.get("type", "firm")],
            client_reference=body.get("clientReference"),
        )
        return await self.call("POST", f"/v1/pools/{pool_id}/quote", "CreateQuote", message, body, headers)

    async def get_capabilities(self, pool_id: str = "EUR-USDT") -> Answer:
        message = partner_pb2.GetCapabilitiesRequest(pool_id=pool_id)
        return await self.call("GET", f"/v1/pools/{pool_id}/capabilities", "GetCapabilities", message)

    async def get_balance(self, pool_id: str = "EUR-USDT") -> Answer:
        message = partner_pb2.GetBalanceRequest(pool_id=pool_id)
        return await self.call("GET", f"/v1/pools/{pool_id}/balance", "GetBalance", message)

    async def get_funding(self, currency: str) -> Answer:
        message = partner_pb2.GetFundingRequest(currency=currency)
        return await self.call("GET", f"/v1/pools/funding?currency={currency}", "GetFunding", message)

    async def get_quote(self, quote_id: str) -> Answer:
        message = partner_pb2.GetQuoteRequest(quote_id=quote_id)
        return await self.call("GET", f"/v1/pools/quotes/{quote_id}", "GetQuote", message)

    async def reject_quote(self, quote_id: str) -> Answer:
        message = partner_pb2.RejectQuoteRequest(quote_id=quote_id)
        return await self.call("POST", f"/v1/pools/quotes/{quote_id}/reject", "RejectQuote", message)

    async def transact(self, quote_id: str, key: str | None, pool_id: str = "EUR-USDT") -> Answer:
        message = partner_pb2.TransactQuoteRequest(pool_id=pool_id, quote_id=quote_id)
        headers = {} if key is None else {"idempotency-key": key}
        path = f"/v1/pools/{pool_id}/transact"
        return await self.call("POST", path, "TransactQuote", message, {"quoteId": quote_id}, headers)

    async def get_transaction(self, quote_id: str) -> Answer:
        message = partner_pb2.GetTransactionRequest(quote_id=quote_id)
        return await self.call("GET", f"/v1/pools/transactions/{quote_id}", "GetTransaction", message)

    async def get_trade(self, transact_id: str) -> Answer:
        message = partner_pb2.GetTradeRequest(transact_id=transact_id)
        return await self.call("GET", f"/v1/pools/trades/{transact_id}", "GetTrade", message)

    async def list_trades(self, **query: Any) -> Answer:
        message = partner_pb2.ListTradesRequest(
            page_size=query.get("limit", 0),
            page_token=query.get("cursor", ""),
            side=SIDES.get(query.get("side", ""), types_pb2.SIDE_UNSPECIFIED),
            status=types_pb2.TradeStatus.Value(f"TRADE_STATUS_{query.get('status', 'unspecified').upper()}"),
        )
        for name in ("created_after", "created_before"):
            if name in query:
                getattr(message, f"{name}_time").FromJsonString(query[name])
        path = str(httpx.URL("/v1/pools/trades", params=query))
        return await self.call("GET", path, "ListTrades", message)

    async def ledger(self, currency: str = "EUR", limit: int | None = None, cursor: str = "") -> Answer:
        message = partner_pb2.ListLedgerEntriesRequest(currency=currency, page_size=limit or 0, page_token=cursor)
        query = f"currency={currency}" + (f"&limit={limit}" if limit is not None else "")
        query += f"&cursor={cursor}" if cursor else ""
        return await self.call("GET", f"/v1/pools/ledger?{query}", "ListLedgerEntries", message)

    async def call(
        self,
        method: str,
        path: str,
        rpc: str,
        message: Message,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """The call over this caller's edge. Whatever it answers must be in the reference."""
        answer = await self._call(method, path, rpc, message, body, headers)
        assert not rpc or answer.code in DOCUMENTED[rpc], f"the reference of {rpc} does not name {answer.code}"
        return answer

    async def _call(
        self, method: str, path: str, rpc: str, message: Message, body: Any, headers: dict[str, str] | None
    ) -> Answer:
        sent = dict(headers or {})
        if self.key:
            sent.setdefault("authorization", f"Bearer {self.key}")
        if self.edge == "grpc":
            return await self._over_grpc(rpc, message, sent)
        response = await self._http.request(method, self._gateway.rest + path, json=body, headers=sent)
        return from_response(response)

    async def _over_grpc(self, rpc: str, message: Message, metadata: dict[str, str]) -> Answer:
        multi = self._gateway.partner.channel.unary_unary(
            f"/pools.gateway.v1.PartnerService/{rpc}",
            request_serializer=type(message).SerializeToString,
            response_deserializer=getattr(partner_pb2, f"{rpc}Response").FromString,
        )
        return await from_call(multi._inner(message, timeout=5, metadata=tuple(metadata.items())))


async def from_call(call: Any) -> Answer:
    """A gRPC call's answer, refused or not."""
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return from_error(error)
    initial, trailing = dict(await call.initial_metadata()), dict(await call.trailing_metadata())
    return Answer("ok", response, str(trailing["x-request-id"]), initial.get("idempotent-replayed") == "true")


def from_response(response: httpx.Response) -> Answer:
    """An HTTP answer; an error's body must have exactly the contract's fields."""
    body = response.json()
    request_id = response.headers["x-request-id"]
    replayed = response.headers.get("idempotent-replayed") == "true"
    if response.status_code == 200:
        return Answer("ok", body, request_id, replayed)
    assert list(body) == ["type", "code", "message", "request_id", "doc_url", "statusCode"]
    assert (body["statusCode"], body["request_id"]) == (response.status_code, request_id)
    field, colon, _ = body["message"].partition(": ")
    retry_after = int(response.headers.get("retry-after", 0))
    return Answer(body["code"], body, request_id, replayed, field if colon else "", retry_after)


def from_error(error: grpc.aio.AioRpcError) -> Answer:
    """A gRPC error; it must carry google.rpc.Status with an ErrorInfo of our domain."""
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailing["grpc-status-details-bin"]))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    assert info.domain == "pools"
    assert info.reason.isupper()
    return Answer(
        info.reason.lower(),
        status,
        str(trailing["x-request-id"]),
        False,
        info.metadata.get("field", ""),
        retry.retry_delay.seconds,
    )
