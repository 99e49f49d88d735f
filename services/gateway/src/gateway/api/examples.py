"""The examples of the reference: one story of a partner, from the pools it may use to the webhook that ends a trade."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from poolkit.errors import DomainError
from poolkit.http.errors import error_body
from poolkit.security import pools_signature, sign_standard

REQUEST_ID: Final = "req_01M82JAJB8K7Q2M5RJ8T4W3X9E"
IDEMPOTENCY_KEY: Final = "mobile_checkout_123"
WEBHOOK_SECRET: Final = "whsec_" + "ZXhhbXBsZSBleGFtcGxlIGV4YW1wbGU="
WEBHOOK_TIMESTAMP: Final = 1_795_341_603

_QUOTE_ID: Final = "pq_test_01M82JAJ8Q3TQ0Y1C5N7V9B2D4"
_TRANSACT_ID: Final = "pt_test_01M82JAJCWB5P9CY68JXEF76SC"
_ADDRESS: Final = "TTestPartnerWa11etXXXXXXXXXXXX0001"

PATH: Final[Mapping[str, str]] = MappingProxyType({"id": "EUR-USDT", "quoteId": _QUOTE_ID, "transactId": _TRANSACT_ID})
"""The ids in paths, by their names there."""

QUERY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "currency": "EUR",
        "limit": 20,
        "side": "on_ramp",
        "status": "settled",
        "created_after": "2026-11-01T00:00:00Z",
        "created_before": "2027-12-01T00:00:00Z",
    }
)
"""The values of queries, by their names; what is not here is left out at first."""

BODIES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "create_quote": {
            "side": "on_ramp",
            "amount": "100.00",
            "amountCurrency": "EUR",
            "network": "tron",
            "destinationAddress": _ADDRESS,
            "type": "firm",
            "clientReference": "mobile_checkout_123",
        },
        "transact": {"quoteId": _QUOTE_ID},
    }
)
"""What is sent, by operation."""

_TERMS: Final = {
    "fiatCurrency": "EUR",
    "fiatAmount": "100.00",
    "cryptoCurrency": "USDT",
    "cryptoAmount": "107.904009",
    "rate": "1.085000",
    "spreadBps": 35,
    "feeBps": 20,
    "feeAmount": "0.20",
    "network": "tron",
    "destinationAddress": _ADDRESS,
}
_QUOTE: Final = {
    "available": True,
    "unavailableReason": None,
    "quoteId": _QUOTE_ID,
    "type": "firm",
    "status": "active",
    "poolId": "EUR-USDT",
    "pair": "EUR/USDT",
    "side": "on_ramp",
    "fiatCurrency": "EUR",
    "cryptoCurrency": "USDT",
    **_TERMS,
    "clientReference": "mobile_checkout_123",
    "createdAt": "2026-11-22T10:00:00.123Z",
    "expiresAt": "2026-11-22T10:00:15.123Z",
}
_UNAVAILABLE: Final = {
    **_QUOTE,
    **dict.fromkeys(
        ("quoteId", "status", "cryptoAmount", "rate", "spreadBps", "feeBps", "feeAmount", "createdAt", "expiresAt")
    ),
    "available": False,
    "unavailableReason": "pool_dry",
}
_RESERVED: Final = {
    "transactId": _TRANSACT_ID,
    "quoteId": _QUOTE_ID,
    "poolId": "EUR-USDT",
    "side": "on_ramp",
    "status": "reserved",
    **_TERMS,
    "depositAddress": None,
    "networkTransactionId": None,
    "clientReference": "mobile_checkout_123",
    "requestId": REQUEST_ID,
    "reconciliationState": "open",
    "createdAt": "2026-11-22T10:00:02.456Z",
    "updatedAt": "2026-11-22T10:00:02.456Z",
    "terminalAt": None,
}
_ENDED: Final = {**_RESERVED, "updatedAt": "2026-11-22T10:00:03.012Z", "terminalAt": "2026-11-22T10:00:03.012Z"}
_SETTLED: Final = {
    **_ENDED,
    "status": "settled",
    "networkTransactionId": "0x5f1c0a7e3b9d4c2e8a6f7b1d0c3e5a9f8b7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e",
}

ANSWERS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "list_pools": {
            "pools": {
                "pools": [
                    {
                        "id": "EUR-USDT",
                        "pair": "EUR/USDT",
                        "fiatCurrency": "EUR",
                        "cryptoCurrency": "USDT",
                        "available": True,
                    }
                ],
                "hasMore": False,
                "nextCursor": None,
            }
        },
        "get_capabilities": {
            "capabilities": {
                "poolId": "EUR-USDT",
                "pair": "EUR/USDT",
                "fiatCurrency": "EUR",
                "cryptoCurrency": "USDT",
                "supportedNetworks": ["ethereum", "tron"],
                "sides": ["on_ramp"],
                "tier": "standard",
                "drawFeeBps": 20,
                "spreadCapBps": 35,
                "minOrder": "1.00",
                "maxOrder": "50000.00",
                "quoteTtlSeconds": 15,
            }
        },
        "get_balance": {
            "balance": {
                "tier": "standard",
                "allowedPools": ["EUR-USDT"],
                "available": True,
                "currency": "EUR",
                "balance": "1000.00",
            }
        },
        "get_funding": {
            "funding": {
                "currency": "EUR",
                "iban": None,
                "reference": "FR7K2M9QXW",
                "instructions": (
                    "Pay EUR by bank transfer to the account named in your contract, with FR7K2M9QXW as the purpose of "
                    "the payment. It is credited as soon as the bank reports it."
                ),
            }
        },
        "create_quote": {"firm": _QUOTE, "unavailable": _UNAVAILABLE},
        "get_quote": {"active": _QUOTE, "consumed": {**_QUOTE, "status": "consumed"}},
        "reject_quote": {"rejected": {**_QUOTE, "status": "rejected"}},
        "transact": {"reserved": _RESERVED},
        "get_transaction": {"reserved": _RESERVED, "settled": _SETTLED},
        "get_trade": {"settled": _SETTLED},
        "list_trades": {"page": {"trades": [_SETTLED], "hasMore": False, "nextCursor": None}},
        "list_ledger_entries": {
            "page": {
                "currency": "EUR",
                "available": "900.00",
                "entries": [
                    {
                        "id": "le_01M82JAJD3N5R7T9V1X3Z5B7D9",
                        "delta": "-100.00",
                        "reason": "buy_debit",
                        "ref": "ledger_01M82JAJD2M4Q6S8V0X2Z4B6D8",
                        "balanceAfter": "900.00",
                        "createdAt": "2026-11-22T10:00:03.045Z",
                        "transactId": _TRANSACT_ID,
                        "clientReference": "mobile_checkout_123",
                    }
                ],
                "hasMore": False,
                "nextCursor": None,
            }
        },
    }
)
"""What is answered, by operation and the example's name."""

WEBHOOK_TRADES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "pool.transaction.settled": _SETTLED,
        "pool.transaction.failed": {**_ENDED, "status": "failed"},
        "pool.transaction.released": {**_ENDED, "status": "released"},
    }
)
"""The trade that each webhook tells of."""


def refusal(reason: type[DomainError], documentation_url: str) -> dict[str, str | int]:
    """The body of an error."""
    if reason.reason.code == "invalid_request":
        return error_body(reason("it needs a value.", field="amount"), REQUEST_ID, documentation_url)
    return error_body(reason(), REQUEST_ID, documentation_url)


def webhook(event_type: str) -> dict[str, Any]:
    """The body of a webhook. Its event id is made as every one is."""
    event_id = hashlib.sha256(f"{_TRANSACT_ID}:{event_type}".encode()).hexdigest()
    trade = WEBHOOK_TRADES[event_type]
    return {"eventId": event_id, "type": event_type, "createdAt": trade["terminalAt"], "data": trade}


def webhook_headers(event_type: str) -> dict[str, str]:
    """The headers it comes with: signatures that verify with the example's secret, over its body as compact JSON."""
    event = webhook(event_type)
    body = msgspec.json.encode(event)
    signed = sign_standard([WEBHOOK_SECRET], event["eventId"], WEBHOOK_TIMESTAMP, body)
    return {
        **signed,
        "Pools-Signature": pools_signature([WEBHOOK_SECRET], WEBHOOK_TIMESTAMP, body),
        "X-Request-Id": REQUEST_ID,
    }
