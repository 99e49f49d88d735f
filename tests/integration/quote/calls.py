"""Calls to the quote service as its colleagues make them, with fields filled in that a test does not care for."""

from typing import Any

from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from pools_contracts.quote import QuoteClient
from tests.integration.quote.desk import TRACEPARENT


def context(**changes: Any) -> types_pb2.RequestContext:
    fields: dict[str, Any] = {
        "request_id": "req_1", "organization_id": "org_1", "mode": types_pb2.MODE_TEST, "traceparent": TRACEPARENT,
    }  # fmt: skip
    return types_pb2.RequestContext(**(fields | changes))


def create_item(**changes: Any) -> quote_pb2.CreateQuotesItem:
    fields: dict[str, Any] = {
        "context": context(),
        "pool_id": "EUR-USDT",
        "side": types_pb2.SIDE_ON_RAMP,
        "amount": types_pb2.Money(amount="100.00", currency="EUR"),
        "network": "tron",
        "destination_address": "TQabcdefgh0001",
        "client_reference": "order_1",
        "tier": "standard",
    }
    return quote_pb2.CreateQuotesItem(**(fields | changes))


async def create(client: QuoteClient, *items: quote_pb2.CreateQuotesItem) -> list[quote_pb2.QuoteResult]:
    response = await client.quote.CreateQuotes(quote_pb2.CreateQuotesRequest(items=items))
    return list(response.results)


async def consume(client: QuoteClient, quote_id: str, trade_id: str, **changes: Any) -> quote_pb2.QuoteResult:
    fields: dict[str, Any] = {
        "context": context(), "quote_id": quote_id, "trade_id": trade_id, "pool_id": "EUR-USDT",
    }  # fmt: skip
    item = quote_pb2.ConsumeQuotesItem(**(fields | changes))
    response = await client.quote.ConsumeQuotes(quote_pb2.ConsumeQuotesRequest(items=[item]))
    return response.results[0]
