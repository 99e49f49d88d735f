"""Views: the JSON shapes of the contract, key by key, from the very messages that other services answer."""

import json
import re

import msgspec
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain import views
from gateway.domain.quote_terms import QuoteTerms, UnpricedQuote
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2

CREATED = Timestamp(seconds=1_795_341_600, nanos=123_999_999)
TRADE = types_pb2.Trade(
    transact_id="pt_test_1",
    quote_id="pq_test_1",
    pool_id="EUR-USDT",
    side=types_pb2.SIDE_ON_RAMP,
    status=types_pb2.TRADE_STATUS_RESERVED,
    fiat=types_pb2.Money(amount="100.00", currency="EUR"),
    crypto=types_pb2.Money(amount="107.904009", currency="USDT"),
    rate="1.085000",
    spread_bps=35,
    fee_bps=20,
    fee=types_pb2.Money(amount="0.20", currency="EUR"),
    network="tron",
    destination_address="TQ0001",
    client_reference="mobile_checkout_123",
    request_id="req_1",
    create_time=CREATED,
    update_time=CREATED,
)
TRADE_JSON = {
    "transactId": "pt_test_1",
    "quoteId": "pq_test_1",
    "poolId": "EUR-USDT",
    "side": "on_ramp",
    "status": "reserved",
    "fiatCurrency": "EUR",
    "fiatAmount": "100.00",
    "cryptoCurrency": "USDT",
    "cryptoAmount": "107.904009",
    "rate": "1.085000",
    "spreadBps": 35,
    "feeBps": 20,
    "feeAmount": "0.20",
    "network": "tron",
    "destinationAddress": "TQ0001",
    "depositAddress": None,
    "networkTransactionId": None,
    "clientReference": "mobile_checkout_123",
    "requestId": "req_1",
    "reconciliationState": "open",
    "createdAt": "2026-11-22T10:00:00.123Z",
    "updatedAt": "2026-11-22T10:00:00.123Z",
    "terminalAt": None,
}


def as_json(view: views.View) -> list[tuple[str, object]]:
    """The view as a partner's parser sees it, with the order of its keys."""
    return list(json.loads(msgspec.json.encode(view)).items())


def test_a_trade_has_exactly_the_contracts_shape() -> None:
    assert as_json(views.trade_view(TRADE)) == list(TRADE_JSON.items())


def test_a_firm_quote_has_exactly_the_contracts_shape() -> None:
    quote = types_pb2.Quote(
        quote_id="pq_test_1",
        available=True,
        type=types_pb2.QUOTE_TYPE_FIRM,
        status=types_pb2.QUOTE_STATUS_ACTIVE,
        pool_id="EUR-USDT",
        side=types_pb2.SIDE_ON_RAMP,
        fiat=types_pb2.Money(amount="100.00", currency="EUR"),
        crypto=types_pb2.Money(amount="107.904009", currency="USDT"),
        rate="1.085000",
        spread_bps=35,
        fee_bps=20,
        fee=types_pb2.Money(amount="0.20", currency="EUR"),
        network="tron",
        destination_address="TQ0001",
        client_reference="mobile_checkout_123",
        create_time=CREATED,
        expire_time=Timestamp(seconds=CREATED.seconds + 15, nanos=123_000_000),
    )
    expected = {
        "available": True,
        "unavailableReason": None,
        "quoteId": "pq_test_1",
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
        "destinationAddress": "TQ0001",
        "clientReference": "mobile_checkout_123",
        "createdAt": "2026-11-22T10:00:00.123Z",
        "expiresAt": "2026-11-22T10:00:15.123Z",
    }
    assert as_json(views.quote_view(quote)) == list(expected.items())


def test_a_quote_that_cannot_be_given_has_the_same_keys_and_no_price() -> None:
    terms = QuoteTerms("on_ramp", "100", "EUR", "tron", "TQ0001", "firm", "")
    view = views.quote_view(UnpricedQuote("EUR-USDT", terms, unavailable_reason="engine_unavailable"))
    priced = views.quote_view(types_pb2.Quote(available=True))
    assert list(view) == list(priced)
    assert (view["available"], view["unavailableReason"]) == (False, "engine_unavailable")
    assert (view["fiatAmount"], view["side"], view["network"]) == ("100.00", "on_ramp", "tron")
    assert (view["fiatCurrency"], view["cryptoCurrency"], view["pair"]) == ("EUR", "USDT", "EUR/USDT")
    unknown = ("quoteId", "status", "cryptoAmount", "rate", "spreadBps", "feeBps", "feeAmount", "expiresAt")
    assert {view[key] for key in unknown} == {None}


def test_a_ledger_page_has_exactly_the_contracts_shape() -> None:
    entry = types_pb2.LedgerEntry(
        entry_id="le_1",
        delta=types_pb2.Money(amount="-100.00", currency="EUR"),
        reason="buy_debit",
        ledger_transaction_id="ledger_1",
        balance_after=types_pb2.Money(amount="900.00", currency="EUR"),
        create_time=CREATED,
        transact_id="pt_test_1",
    )
    page = views.ledger_view(currency="EUR", available="900.00", entries=[entry], next_cursor="")
    assert as_json(page) == [
        ("currency", "EUR"),
        ("available", "900.00"),
        (
            "entries",
            [
                {
                    "id": "le_1",
                    "delta": "-100.00",
                    "reason": "buy_debit",
                    "ref": "ledger_1",
                    "balanceAfter": "900.00",
                    "createdAt": "2026-11-22T10:00:00.123Z",
                    "transactId": "pt_test_1",
                    "clientReference": None,
                }
            ],
        ),
        ("hasMore", False),
        ("nextCursor", None),
    ]
    assert views.ledger_view(currency="EUR", available="0.00", entries=[], next_cursor="x")["hasMore"] is True


def test_a_pool_line_shows_what_a_partner_may_see_and_nothing_else() -> None:
    pool = quote_pb2.Pool(
        pool_id="EUR-USDT",
        fiat_currency="EUR",
        crypto_currency="USDT",
        available=True,
        tiers=[quote_pb2.PoolTier(tier="standard", spread_bps=35)],
    )
    assert as_json(views.pools_view(pools=[pool], next_cursor="")) == [
        (
            "pools",
            [
                {
                    "id": "EUR-USDT",
                    "pair": "EUR/USDT",
                    "fiatCurrency": "EUR",
                    "cryptoCurrency": "USDT",
                    "available": True,
                }
            ],
        ),
        ("hasMore", False),
        ("nextCursor", None),
    ]


def test_a_webhook_tells_the_trade_as_of_the_transition() -> None:
    view = views.webhook_view(event_id="e" * 64, event_type="pool.transaction.settled", occurred=CREATED, trade=TRADE)
    assert list(view) == ["eventId", "type", "createdAt", "data"]
    assert view["data"] == TRADE_JSON
    assert view["createdAt"] == "2026-11-22T10:00:00.123Z"


def names(enum: EnumDescriptor, prefix: str) -> list[str]:
    """What the contract's enum calls its numbers, in their order, in lower case."""
    assert [value.number for value in enum.values] == list(range(len(enum.values)))
    return [re.sub(f"^{prefix}_", "", value.name).lower() for value in enum.values]


def test_the_names_of_enums_are_those_of_the_contracts() -> None:
    tables = (
        (types_pb2.Side.DESCRIPTOR, "SIDE", views.SIDES),
        (types_pb2.QuoteType.DESCRIPTOR, "QUOTE_TYPE", views.QUOTE_TYPES),
        (types_pb2.QuoteStatus.DESCRIPTOR, "QUOTE_STATUS", views.QUOTE_STATUSES),
        (types_pb2.TradeStatus.DESCRIPTOR, "TRADE_STATUS", views.TRADE_STATUSES),
        (types_pb2.ReconciliationState.DESCRIPTOR, "RECONCILIATION_STATE", views.RECONCILIATION_STATES),
    )
    for enum, prefix, table in tables:
        assert names(enum, prefix)[1:] == list(table)[1:]
