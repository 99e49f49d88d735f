"""A partner call put together from what is wrong with it, for any operation and over either edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from gateway.api.edge import BODY_BYTES_MAX
from gateway.api.operations import Operation
from pools.gateway.v1 import partner_pb2
from pools.types.v1 import types_pb2
from tests.integration.gateway.calls import Answer, from_call, from_response
from tests.integration.gateway.house import RunningGateway

QUOTE = {
    "side": "on_ramp",
    "amount": "1.00",
    "amountCurrency": "EUR",
    "network": "tron",
    "destinationAddress": "TQabcdefgh0001",
    "type": "indicative",
}
# A field that no message has, as long as no message may be.
_PADDING = b"\xc2\x3e\x81\x80\x04" + b" " * (BODY_BYTES_MAX + 1)
_NO_MESSAGE = b"\xff"


@dataclass(frozen=True)
class Attempt:
    """What is called, with which key, and what is wrong with the request itself."""

    operation: Operation
    key: str
    pool_id: str = "EUR-USDT"
    subject: str = ""
    """The quote or trade that it is about."""
    in_browser: bool = False
    is_too_large: bool = False
    is_unfit: bool = False
    idempotency_key: str | None = "key 1"

    @property
    def _headers(self) -> dict[str, str]:
        headers = {"authorization": f"Bearer {self.key}"}
        if self.idempotency_key is not None:
            headers["idempotency-key"] = self.idempotency_key
        if self.in_browser:
            headers["origin"] = "https://shop.example"
        return headers

    async def over_rest(self, gateway: RunningGateway, http: httpx.AsyncClient) -> Answer:
        """The answer to the call with JSON."""
        operation = self.operation
        path = operation.path.format(id=self.pool_id, quoteId=self.subject, transactId=self.subject)
        query = {"currency": "EUR"} if operation.name in ("get_funding", "list_ledger_entries") else {}
        body: dict[str, Any] | None = None
        if operation.takes_body:
            body = {"quoteId": self.subject} if operation.name == "transact" else dict(QUOTE)
        if self.is_unfit:
            (query if body is None else body)["surprise"] = "1"
        request = http.build_request(
            operation.http_method, gateway.rest + path, params=query, json=body, headers=self._headers
        )
        if self.is_too_large:
            # Spaces after it: nothing else is wrong with it.
            content = request.content + b" " * (BODY_BYTES_MAX + 1)
            headers = {**self._headers, "content-type": "application/json"}
            request = http.build_request(operation.http_method, request.url, content=content, headers=headers)
        return from_response(await http.send(request))

    async def over_grpc(self, gateway: RunningGateway) -> Answer:
        """The answer to the same call with a message."""
        message = self._message().SerializeToString()
        if self.is_too_large:
            message += _PADDING
        if self.is_unfit:
            message += _NO_MESSAGE
        multi = gateway.partner.channel.unary_unary(
            f"/pools.gateway.v1.PartnerService/{self.operation.rpc}",
            response_deserializer=getattr(partner_pb2, f"{self.operation.rpc}Response").FromString,
        )
        return await from_call(multi._inner(message, timeout=5, metadata=tuple(self._headers.items())))

    def _message(self) -> Any:
        fields = self.operation.message.DESCRIPTOR.fields_by_name
        values: dict[str, Any] = {"pool_id": self.pool_id, "currency": "EUR"}
        values |= dict.fromkeys(("quote_id", "transact_id"), self.subject)
        if self.operation.name == "create_quote":
            values |= {
                "side": types_pb2.SIDE_ON_RAMP,
                "amount": types_pb2.Money(amount=QUOTE["amount"], currency="EUR"),
                "network": QUOTE["network"],
                "destination_address": QUOTE["destinationAddress"],
                "type": types_pb2.QUOTE_TYPE_INDICATIVE,
            }
        return self.operation.message(**{name: value for name, value in values.items() if name in fields})
