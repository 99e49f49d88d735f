"""The table of partner operations: how each is reached over REST and gRPC, who may call it, what it takes and answers.

Both edges are driven by it. A new operation is one row here and one use case in `gateway.app.partner`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import msgspec
from google.protobuf.message import Message

from gateway.api import described
from gateway.api import partner_messages as messages
from gateway.api.described import Described
from gateway.app.call import Call
from gateway.app.partner import PartnerOperations
from gateway.app.ports import EntryPage
from gateway.app.requests import (
    FundingRequest,
    LedgerRequest,
    Nothing,
    PoolsRequest,
    QuoteRequest,
    TradesRequest,
    TransactRequest,
)
from gateway.domain import views
from pools.gateway.v1 import partner_pb2

UseCase: TypeAlias = Callable[[Call, str, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Operation:
    """One row: everything the edges need to know of an operation, and nothing they would have to decide."""

    name: str
    """In the request log, metrics and spans."""
    http_method: str
    path: str
    """At most one part in braces: the id that the operation is about."""
    rpc: str
    """The method of PartnerService."""
    use_case: UseCase
    request: type[msgspec.Struct]
    """What it takes besides the id, from the body (POST) or the query (GET)."""
    view: Callable[[Any], views.View]
    """The answer as JSON."""
    message: type[Message]
    """The gRPC request."""
    from_message: Callable[[Any], tuple[str, dict[str, object]]]
    """The gRPC request as the id and the fields of `request`."""
    to_message: Callable[[Any], Message]
    """The answer as the gRPC response."""
    described: Described
    """What the reference says of it."""
    publishable_may: bool = False
    """Whether publishable keys are enough, and browsers of any origin may call it."""
    needs_idempotency_key: bool = False

    @cached_property
    def takes_body(self) -> bool:
        """Whether the request comes as a JSON body, rather than in the query."""
        return bool(self.http_method == "POST" and self.request is not Nothing)

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Reads the body; refuses what does not fit, unknown fields included."""
        return msgspec.json.Decoder(self.request)

    @cached_property
    def __name__(self) -> str:  # what shared HTTP metrics call the endpoint
        return self.name


def partner_operations(partner: PartnerOperations) -> Sequence[Operation]:
    """Every operation there is. Source: contract section 5."""
    return (
        Operation(
            name="transact",
            http_method="POST",
            path="/v1/pools/{id}/transact",
            rpc="TransactQuote",
            use_case=partner.transact,
            request=TransactRequest,
            view=views.trade_view,
            message=partner_pb2.TransactQuoteRequest,
            from_message=lambda message: (message.pool_id, {"quoteId": message.quote_id}),
            to_message=lambda trade: partner_pb2.TransactQuoteResponse(trade=trade),
            described=described.TRANSACT,
            needs_idempotency_key=True,
        ),
        Operation(
            name="create_quote",
            http_method="POST",
            path="/v1/pools/{id}/quote",
            rpc="CreateQuote",
            use_case=partner.create_quote,
            request=QuoteRequest,
            view=views.quote_view,
            message=partner_pb2.CreateQuoteRequest,
            from_message=messages.quote_fields,
            to_message=lambda quote: partner_pb2.CreateQuoteResponse(quote=messages.quote_message(quote)),
            described=described.CREATE_QUOTE,
        ),
        Operation(
            name="list_pools",
            http_method="GET",
            path="/v1/pools",
            rpc="ListPools",
            use_case=partner.list_pools,
            request=PoolsRequest,
            view=lambda page: views.pools_view(pools=page.pools, next_cursor=page.next_cursor),
            message=partner_pb2.ListPoolsRequest,
            from_message=messages.pools_fields,
            to_message=messages.pools_response,
            described=described.LIST_POOLS,
            publishable_may=True,
        ),
        Operation(
            name="get_capabilities",
            http_method="GET",
            path="/v1/pools/{id}/capabilities",
            rpc="GetCapabilities",
            use_case=partner.get_capabilities,
            request=Nothing,
            view=views.capabilities_view,
            message=partner_pb2.GetCapabilitiesRequest,
            from_message=lambda message: (message.pool_id, {}),
            to_message=messages.capabilities_response,
            described=described.GET_CAPABILITIES,
        ),
        Operation(
            name="get_balance",
            http_method="GET",
            path="/v1/pools/{id}/balance",
            rpc="GetBalance",
            use_case=partner.get_balance,
            request=Nothing,
            view=views.balance_view,
            message=partner_pb2.GetBalanceRequest,
            from_message=lambda message: (message.pool_id, {}),
            to_message=messages.balance_response,
            described=described.GET_BALANCE,
        ),
        Operation(
            name="get_funding",
            http_method="GET",
            path="/v1/pools/funding",
            rpc="GetFunding",
            use_case=partner.get_funding,
            request=FundingRequest,
            view=views.funding_view,
            message=partner_pb2.GetFundingRequest,
            from_message=lambda message: ("", {"currency": message.currency}),
            to_message=messages.funding_response,
            described=described.GET_FUNDING,
        ),
        Operation(
            name="get_transaction",
            http_method="GET",
            path="/v1/pools/transactions/{quoteId}",
            rpc="GetTransaction",
            use_case=partner.get_transaction,
            request=Nothing,
            view=views.trade_view,
            message=partner_pb2.GetTransactionRequest,
            from_message=lambda message: (message.quote_id, {}),
            to_message=lambda trade: partner_pb2.GetTransactionResponse(trade=trade),
            described=described.GET_TRANSACTION,
        ),
        Operation(
            name="get_quote",
            http_method="GET",
            path="/v1/pools/quotes/{quoteId}",
            rpc="GetQuote",
            use_case=partner.get_quote,
            request=Nothing,
            view=views.quote_view,
            message=partner_pb2.GetQuoteRequest,
            from_message=lambda message: (message.quote_id, {}),
            to_message=lambda quote: partner_pb2.GetQuoteResponse(quote=quote),
            described=described.GET_QUOTE,
        ),
        Operation(
            name="reject_quote",
            http_method="POST",
            path="/v1/pools/quotes/{quoteId}/reject",
            rpc="RejectQuote",
            use_case=partner.reject_quote,
            request=Nothing,
            view=views.quote_view,
            message=partner_pb2.RejectQuoteRequest,
            from_message=lambda message: (message.quote_id, {}),
            to_message=lambda quote: partner_pb2.RejectQuoteResponse(quote=quote),
            described=described.REJECT_QUOTE,
        ),
        Operation(
            name="get_trade",
            http_method="GET",
            path="/v1/pools/trades/{transactId}",
            rpc="GetTrade",
            use_case=partner.get_trade,
            request=Nothing,
            view=views.trade_view,
            message=partner_pb2.GetTradeRequest,
            from_message=lambda message: (message.transact_id, {}),
            to_message=lambda trade: partner_pb2.GetTradeResponse(trade=trade),
            described=described.GET_TRADE,
        ),
        Operation(
            name="list_trades",
            http_method="GET",
            path="/v1/pools/trades",
            rpc="ListTrades",
            use_case=partner.list_trades,
            request=TradesRequest,
            view=lambda page: views.trades_view(trades=page.trades, next_cursor=page.next_cursor),
            message=partner_pb2.ListTradesRequest,
            from_message=messages.trades_fields,
            to_message=messages.trades_response,
            described=described.LIST_TRADES,
        ),
        Operation(
            name="list_ledger_entries",
            http_method="GET",
            path="/v1/pools/ledger",
            rpc="ListLedgerEntries",
            use_case=partner.list_ledger_entries,
            request=LedgerRequest,
            view=_ledger_view,
            message=partner_pb2.ListLedgerEntriesRequest,
            from_message=messages.ledger_fields,
            to_message=messages.ledger_response,
            described=described.LIST_LEDGER_ENTRIES,
        ),
    )


def _ledger_view(page: EntryPage) -> views.View:
    return views.ledger_view(
        currency=page.currency, available=page.available, entries=page.entries, next_cursor=page.next_cursor
    )
