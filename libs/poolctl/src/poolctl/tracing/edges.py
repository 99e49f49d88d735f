"""Owns the list of what causes what in a request: every hop between processes, every event, every item of a batch.

An edge is told by the effect's span, which hangs below its cause or points at it; `poolctl.tracing.gaps` looks for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Hop = Literal["call", "batch", "item", "kafka", "http"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does, by the names its span may have and the rows that are written under it."""

    service: str
    spans: tuple[str, ...]
    rows: tuple[str, ...] = ()
    """As the journey tells them: the kind, and the state entered where the kind has several."""

    def __str__(self) -> str:
        return f"{self.service}: {self.spans[0]}"


@dataclass(frozen=True, slots=True)
class Edge:
    """One thing that causes another."""

    cause: Operation
    effect: Operation
    by: Literal["parent", "link"]
    hop: Hop

    def __str__(self) -> str:
        return f"{self.effect} ({'below' if self.by == 'parent' else 'linked to'} {self.cause})"


def _call(cause: Operation, callee: str, rpc: str) -> tuple[Edge, ...]:
    """A synchronous hop: the caller's side below what asks, the callee's below the caller's."""
    client, server = Operation(cause.service, (rpc,)), Operation(callee, (rpc,))
    return Edge(cause, client, "parent", "call"), Edge(client, server, "parent", "call")


def _items(cause: Operation, callee: str, rpc: str, item: Operation) -> tuple[Edge, Edge]:
    """An item of a batch RPC: below the item's own cause, and linked to the call it came with."""
    return Edge(cause, item, "parent", "item"), Edge(Operation(callee, (rpc,)), item, "link", "item")


def _coalesced(asked: Operation, rpc: str, item: Operation) -> tuple[Edge, ...]:
    """A partner's call that the gateway asks a colleague about together with others."""
    together = Operation(asked.service, (f"{asked.service}.{rpc.rpartition('/')[2]}",))
    return (
        Edge(asked, together, "link", "batch"),
        *_call(together, item.service, rpc),
        *_items(asked, item.service, rpc, item),
    )


def _read(asked: Operation, callee: str, rpc: str) -> tuple[Edge, ...]:
    """A partner's call that reads one record at its owner: the item of the batch is named as it is."""
    item = rpc.rpartition("/")[2].removesuffix("s")
    return _coalesced(asked, rpc, Operation(callee, (f"{callee}.{item}",)))


def _told(cause: Operation, event: str, consumers: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[Edge, ...]:
    """An event on its way through Kafka to each consumer, which handles it in a batch."""
    edges = [Edge(cause, Operation(cause.service, (f"send {event}",)), "parent", "kafka")]
    for consumer, rows in consumers:
        together = Operation(consumer, (f"consume {consumer}",))
        applied = Operation(consumer, (f"apply {consumer}",), rows)
        edges += [
            Edge(cause, together, "link", "kafka"),
            Edge(cause, applied, "parent", "kafka"),
            Edge(together, applied, "link", "batch"),
        ]
    return tuple(edges)


def _asked(method: str, path: str, rpc: str) -> Operation:
    """A partner's call, over either edge."""
    return Operation("gateway", (f"{method} /v1/pools{path}", f"pools.gateway.v1.PartnerService/{rpc}"))


_QUOTE, _TRADE, _LEDGER = "pools.quote.v1.QuoteService", "pools.trade.v1.TradeService", "pools.ledger.v1.LedgerService"
_REPORT_RPC, _LOOK_UP_RPC = f"{_TRADE}/ReportSettlements", f"{_LEDGER}/LookUpFundingReferences"

TRANSACT: Final = _asked("POST", "/{id}/transact", "TransactQuote")
ACCEPT: Final = Operation("trade", ("trade.TransactQuote",), ("intent asked", "transition reserved", "event reserved"))
CONSUME: Final = Operation("quote", ("quote.ConsumeQuote",), ("consumption consumed",))
HOLD: Final = Operation("ledger", ("ledger.PlaceHold",), ("hold placed",))
_TRANSACT_SERVED: Final = Operation("trade", (f"{_TRADE}/TransactQuotes",))

ASKED: Final = _coalesced(TRANSACT, f"{_TRADE}/TransactQuotes", ACCEPT)
"""Of every transact, the replayed and the refused too."""

CONSUMED: Final = (
    *_call(_TRANSACT_SERVED, "quote", f"{_QUOTE}/ConsumeQuotes"),
    *_items(ACCEPT, "quote", f"{_QUOTE}/ConsumeQuotes", CONSUME),
)
HELD: Final = (
    *_call(_TRANSACT_SERVED, "ledger", f"{_LEDGER}/PlaceHolds"),
    *_items(ACCEPT, "ledger", f"{_LEDGER}/PlaceHolds", HOLD),
)
RESERVED: Final = (*ASKED, *CONSUMED, *HELD)
"""Of a transact that takes a quote to a reserved trade."""

UNDONE: Final = (
    *ASKED,
    *CONSUMED,
    *HELD,
    *_call(_TRANSACT_SERVED, "quote", f"{_QUOTE}/GiveBackQuotes"),
    *_items(ACCEPT, "quote", f"{_QUOTE}/GiveBackQuotes", Operation("quote", ("quote.GiveBackQuote",))),
)
"""Of a transact that the ledger refuses a hold."""

_SETTLE: Final = Operation("sandbox", ("sandbox.settle",))
_POSTED: Final = Operation("webhook-ingest", ("POST /v1/webhooks/{source}",))
RECEIVE: Final = Operation("webhook-ingest", ("webhook-ingest.ReceiveWebhook",), ("webhook_in",))
PROCESS: Final = Operation("webhook-ingest", ("webhook-ingest.ProcessWebhook",), ("attempt",))
_REPORTS: Final = Operation("webhook-ingest", ("webhook-ingest.ProcessReports",))
_PAYINS: Final = Operation("webhook-ingest", ("webhook-ingest.ProcessPayins",))
REPORT: Final = Operation("trade", ("trade.ReportSettlement",), ("transition settled", "event settled"))
DELIVER: Final = Operation("gateway", ("apply gateway",), ("event settled", "delivery"))
ATTEMPT: Final = Operation("gateway", ("webhook attempt",))

SETTLED: Final = (
    *_told(ACCEPT, "pool.transaction.reserved", [("sandbox", ())]),
    Edge(Operation("sandbox", ("apply sandbox",)), _SETTLE, "parent", "call"),
    # The port is strangers': what they send of a trace is linked to, and adopted once their signature is verified.
    Edge(_SETTLE, _POSTED, "link", "http"),
    Edge(_SETTLE, RECEIVE, "parent", "http"),
    Edge(RECEIVE, _REPORTS, "link", "batch"),
    Edge(RECEIVE, PROCESS, "parent", "item"),
    Edge(_REPORTS, PROCESS, "link", "item"),
    *_call(_REPORTS, "trade", _REPORT_RPC),
    *_items(PROCESS, "trade", _REPORT_RPC, REPORT),
    *_told(
        REPORT,
        "pool.transaction.settled",
        [
            ("quote", ("event settled",)),
            ("ledger", ("event settled", "hold consumed", "entry")),
            ("gateway", DELIVER.rows),
        ],
    ),
    Edge(DELIVER, ATTEMPT, "parent", "http"),
)
"""Of what follows when the provider reports that the trade is settled, to the partner's webhook."""

PAID_IN: Final = (
    Edge(_POSTED, RECEIVE, "parent", "http"),
    Edge(RECEIVE, _PAYINS, "link", "batch"),
    Edge(RECEIVE, PROCESS, "parent", "item"),
    Edge(_PAYINS, PROCESS, "link", "item"),
    *_call(_PAYINS, "ledger", _LOOK_UP_RPC),
    *_told(
        Operation("webhook-ingest", PROCESS.spans, ("attempt", "event credited")),
        "payin.credited",
        [("ledger", ("event credited", "entry"))],
    ),
)
"""Of a bank's webhook, to the ledger."""

_STATUS: Final = _asked("GET", "/transactions/{quoteId}", "GetTransaction")
_POLL_RPC: Final = "pools.webhook_ingest.v1.SettlementStatusService/PollSettlements"

POLLED: Final = (
    *_call(_STATUS, "webhook-ingest", _POLL_RPC),
    Edge(_STATUS, Operation("webhook-ingest", ("webhook-ingest.PollSettlement",)), "parent", "item"),
)
"""Of a status call about a trade that is still reserved, for which the provider is asked."""

EDGES: Final[Mapping[str, tuple[Edge, ...]]] = {
    "list_pools": (),
    "get_capabilities": (),
    "get_balance": _call(_asked("GET", "/{id}/balance", "GetBalance"), "ledger", f"{_LEDGER}/GetBalances"),
    "get_funding": _call(_asked("GET", "/funding", "GetFunding"), "ledger", f"{_LEDGER}/EnsureFundingReferences"),
    "create_quote": _coalesced(
        _asked("POST", "/{id}/quote", "CreateQuote"),
        f"{_QUOTE}/CreateQuotes",
        Operation("quote", ("quote.CreateQuote",), ("quote active",)),
    ),
    "get_quote": _read(_asked("GET", "/quotes/{quoteId}", "GetQuote"), "quote", f"{_QUOTE}/GetQuotes"),
    "reject_quote": _coalesced(
        _asked("POST", "/quotes/{quoteId}/reject", "RejectQuote"),
        f"{_QUOTE}/RejectQuotes",
        Operation("quote", ("quote.RejectQuote",), ("quote rejected",)),
    ),
    "transact": RESERVED,
    "get_transaction": _read(_STATUS, "trade", f"{_TRADE}/GetTransactions"),
    "get_trade": _read(_asked("GET", "/trades/{transactId}", "GetTrade"), "trade", f"{_TRADE}/GetTrades"),
    "list_trades": _call(_asked("GET", "/trades", "ListTrades"), "trade", f"{_TRADE}/ListTrades"),
    "list_ledger_entries": _call(_asked("GET", "/ledger", "ListLedgerEntries"), "ledger", f"{_LEDGER}/ListEntries"),
}
"""Of each of the partners' operations when it succeeds; nothing where the gateway answers by itself."""
