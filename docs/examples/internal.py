"""How a colleague's service calls ours: typed stubs from the wheel `pools-contracts`, and nothing else of this project.

It sells nothing to anyone: it accepts a price on behalf of an organization, follows the trade, and reads the books.
Every write takes a list and answers a list, item by item; one request is a list of one.

    python internal.py --organization org_… --quote HOST:PORT --trade HOST:PORT --ledger HOST:PORT --gateway HOST:PORT \
        --certificates DIR
"""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import sys
import uuid
from collections.abc import AsyncIterator

import grpc

from pools.gateway.v1 import admin_pb2
from pools.ledger.v1 import ledger_pb2
from pools.quote.v1 import quote_pb2
from pools.trade.v1 import trade_pb2
from pools.types.v1 import types_pb2
from pools_contracts import gateway, ledger, quote, trade

CALLER = "example"
"""Leads the user agent, so that on-call can tell who calls. Who we are believed to be is in our certificate."""
UNKNOWN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
TRIES = 5


class Refused(Exception):
    """An item was refused. Decide by `reason`, which is the same word as the partner API's `code`."""

    def __init__(self, refusal: types_pb2.Refusal) -> None:
        super().__init__(f"{refusal.reason}: {refusal.message}")
        self.reason = refusal.reason


async def price(
    quotes: quote.QuoteClient, context: types_pb2.RequestContext, pool_id: str, amount: str
) -> types_pb2.Quote:
    """A firm quote. Not repeated by itself: a second one would hold inventory twice."""
    item = quote_pb2.CreateQuotesItem(
        context=context,
        pool_id=pool_id,
        side=types_pb2.SIDE_ON_RAMP,
        amount=types_pb2.Money(amount=amount, currency="EUR"),
        network="tron",
        destination_address="TQexampleexampleexampleexample0001",
        type=types_pb2.QUOTE_TYPE_FIRM,
        client_reference="internal example",
        tier="standard",
    )
    answer = await quotes.quote.CreateQuotes(quote_pb2.CreateQuotesRequest(items=[item]))
    result = answer.results[0]
    if result.WhichOneof("outcome") == "refusal":
        raise Refused(result.refusal)
    return result.quote


async def accept(
    trades: trade.TradeClient, context: types_pb2.RequestContext, offer: types_pb2.Quote, *, key: str
) -> types_pb2.Trade:
    """Accepts a quote. The stubs retry a broken connection; a deadline is ours to answer, with the same key again."""
    item = trade_pb2.TransactQuotesItem(
        context=context,
        idempotency_key=key,
        quote_id=offer.quote_id,
        pool_id=offer.pool_id,
        balance_gate_enabled=True,
    )
    for tries_left in reversed(range(TRIES)):
        try:
            answer = await trades.trade.TransactQuotes(trade_pb2.TransactQuotesRequest(items=[item]))
        except grpc.aio.AioRpcError as error:
            # The outcome is unknown, not "no": only asking again with the same key tells.
            if error.code() not in UNKNOWN or not tries_left:
                raise
            continue
        result = answer.results[0]
        if result.WhichOneof("outcome") == "trade":
            return result.trade
        if not result.refusal.retry_after_seconds or not tries_left:
            raise Refused(result.refusal)
        await asyncio.sleep(result.refusal.retry_after_seconds)
    raise AssertionError("the last try returns or raises")


async def ended(trades: trade.TradeClient, context: types_pb2.RequestContext, trade_id: str) -> types_pb2.Trade:
    """The trade once it is no longer reserved. A service would rather consume the topic `pools.trade.terminal.v1`."""
    item = trade_pb2.GetTradesItem(context=context, trade_id=trade_id)
    async with asyncio.timeout(30):
        while True:
            result = (await trades.trade.GetTrades(trade_pb2.GetTradesRequest(items=[item]))).results[0]
            if result.WhichOneof("outcome") == "refusal":
                raise Refused(result.refusal)
            if result.trade.status != types_pb2.TRADE_STATUS_RESERVED:
                return result.trade
            await asyncio.sleep(0.1)


async def entries(
    books: ledger.LedgerClient, context: types_pb2.RequestContext, currency: str
) -> AsyncIterator[types_pb2.LedgerEntry]:
    """Every ledger entry of the organization, newest first, page by page."""
    token = ""
    while True:
        request = ledger_pb2.ListEntriesRequest(context=context, currency=currency, page_size=100, page_token=token)
        page = await books.ledger.ListEntries(request)
        for entry in page.entries:
            yield entry
        token = page.next_page_token
        if not token:
            return


def credentials(folder: pathlib.Path | None) -> grpc.ChannelCredentials | None:
    """Our certificate, issued for the name `internal`; without a folder calls are plaintext, as on a laptop."""
    if folder is None:
        return None
    ca, key, certificate = ((folder / file).read_bytes() for file in ("ca.crt", "tls.key", "tls.crt"))
    return grpc.ssl_channel_credentials(ca, key, certificate)


async def main() -> None:
    """A price, a trade, the books, and the journey of it all."""
    parser = argparse.ArgumentParser(description="Trades for an organization over the internal gRPC services.")
    parser.add_argument("--organization", required=True)
    for service in ("quote", "trade", "ledger", "gateway"):
        parser.add_argument(f"--{service}", required=True, metavar="HOST:PORT")
    parser.add_argument("--certificates", type=pathlib.Path, metavar="DIR", help="tls.crt, tls.key and ca.crt")
    asked = parser.parse_args()
    ours = credentials(asked.certificates)
    # One request id on everything that follows from this: rows, logs, spans, events, webhooks.
    context = types_pb2.RequestContext(
        request_id=f"internal-{uuid.uuid4().hex}", organization_id=asked.organization, mode=types_pb2.MODE_TEST
    )
    async with (
        quote.connect(asked.quote, caller=CALLER, credentials=ours) as quotes,
        trade.connect(asked.trade, caller=CALLER, credentials=ours) as trades,
        ledger.connect(asked.ledger, caller=CALLER, credentials=ours) as books,
        gateway.connect(asked.gateway, caller=CALLER, callee="gateway", credentials=ours) as support,
    ):
        offer = await price(quotes, context, "EUR-USDT", "100.00")
        if not offer.available:
            raise SystemExit(f"no price now: {offer.unavailable_reason}")
        print(f"quoted    {offer.fiat.amount} EUR for {offer.crypto.amount} USDT")

        accepted = await accept(trades, context, offer, key=f"{context.request_id}/accept")
        print(f"accepted  {accepted.transact_id}")
        last = await ended(trades, context, accepted.transact_id)
        print(f"ended     {last.transact_id} is {types_pb2.TradeStatus.Name(last.status)}")

        async for entry in entries(books, context, "EUR"):
            print(f"entry     {entry.delta.amount:>10} EUR {entry.reason}")
        journey = await support.support.FindJourney(admin_pb2.FindJourneyRequest(id=context.request_id))
        for record in journey.records:
            print(f"journey   {record.service:<15} {record.summary}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
    except grpc.aio.AioRpcError as error:
        sys.exit(f"no answer: {error.code().name} {error.details()}")
