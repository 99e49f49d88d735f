"""From a price to the ledger and the partner's webhook, over REST and over gRPC: the same trade, the same numbers."""

import hashlib
from typing import Any

from poolctl.receiver import WebhookReceiver
from pools.types.v1 import types_pb2
from tests.e2e.partners import SETTLES, Partner
from tests.waiting import eventually

QUOTED = {
    "available": True,
    "unavailableReason": None,
    "type": "firm",
    "status": "active",
    "poolId": "EUR-USDT",
    "pair": "EUR/USDT",
    "side": "on_ramp",
    "fiatCurrency": "EUR",
    "cryptoCurrency": "USDT",
    "fiatAmount": "100.00",
    "cryptoAmount": "107.904009",
    "rate": "1.085000",
    "spreadBps": 35,
    "feeBps": 20,
    "feeAmount": "0.20",
    "network": "tron",
    "destinationAddress": SETTLES,
    "clientReference": "mobile_checkout_123",
}


async def test_a_trade_over_rest_is_priced_reserved_settled_told_and_posted(
    partner: Partner, receiver: WebhookReceiver
) -> None:
    quote = (await partner.rest.quote()).json()
    assert QUOTED.items() <= quote.items()
    assert quote["quoteId"].startswith("pq_test_")

    answer = await partner.rest.transact(quote["quoteId"], key="order 1")
    reserved = answer.json()
    assert answer.status_code == 200, answer.text
    assert reserved["transactId"].startswith("pt_test_")
    assert (reserved["status"], reserved["quoteId"]) == ("reserved", quote["quoteId"])
    assert reserved["requestId"] == answer.headers["X-Request-Id"]
    assert (reserved["networkTransactionId"], reserved["terminalAt"]) == (None, None)

    webhook = await receiver.event_of(reserved["transactId"], seconds=15)
    settled = (await partner.rest.trade(reserved["transactId"])).json()
    assert webhook.type == "pool.transaction.settled"
    assert webhook.body["eventId"] == webhook.event_id
    assert webhook.event_id == hashlib.sha256(f"{reserved['transactId']}:{webhook.type}".encode()).hexdigest()
    assert webhook.headers["pools-signature"].startswith("t=")
    assert webhook.trade == settled
    assert settled["status"] == "settled"
    assert settled["networkTransactionId"]
    unchanged = set(reserved) - {"status", "updatedAt", "terminalAt", "networkTransactionId"}
    assert {name: settled[name] for name in unchanged} == {name: reserved[name] for name in unchanged}

    ledger = await eventually(lambda: ledger_with_debit(partner), "the trade is in the ledger")
    assert ledger["available"] == "900.00"
    debit, credit = ledger["entries"]
    assert (debit["delta"], debit["reason"], debit["balanceAfter"]) == ("-100.00", "buy_debit", "900.00")
    assert (debit["transactId"], debit["clientReference"]) == (reserved["transactId"], "mobile_checkout_123")
    assert (credit["delta"], credit["reason"], credit["balanceAfter"]) == ("1000.00", "payin_credit", "1000.00")
    assert credit["transactId"] is None


async def ledger_with_debit(partner: Partner) -> dict[str, Any] | None:
    ledger = (await partner.rest.ledger()).json()
    return ledger if len(ledger["entries"]) == 2 else None


async def test_a_trade_over_grpc_is_priced_reserved_settled_told_and_posted(
    partner: Partner, receiver: WebhookReceiver
) -> None:
    quote = await partner.grpc.quote()
    assert (quote.fiat.amount, quote.crypto.amount, quote.rate) == ("100.00", "107.904009", "1.085000")
    assert quote.status == types_pb2.QUOTE_STATUS_ACTIVE

    reserved = await partner.grpc.transact(quote.quote_id)
    assert reserved.status == types_pb2.TRADE_STATUS_RESERVED
    assert reserved.quote_id == quote.quote_id

    webhook = await receiver.event_of(reserved.transact_id, seconds=15)
    assert webhook.type == "pool.transaction.settled"
    assert webhook.trade["quoteId"] == quote.quote_id

    settled = await partner.grpc.trade(reserved.transact_id)
    assert settled.status == types_pb2.TRADE_STATUS_SETTLED
    assert settled.network_transaction_id == webhook.trade["networkTransactionId"]

    async def posted() -> bool:
        return len((await partner.grpc.ledger()).entries) == 2

    await eventually(posted, "the trade is in the ledger")
    ledger = await partner.grpc.ledger()
    assert ledger.available.amount == "900.00"
    assert [entry.reason for entry in ledger.entries] == ["buy_debit", "payin_credit"]


async def test_money_is_held_from_reserved_until_settled(partner: Partner) -> None:
    stuck = await partner.rest.accept(destinationAddress=SETTLES[:-4] + "0005")
    ledger = (await partner.rest.ledger()).json()
    assert stuck["status"] == "reserved"
    assert ledger["available"] == "900.00"
    assert [entry["reason"] for entry in ledger["entries"]] == ["payin_credit"]
