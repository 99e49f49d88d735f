"""No message a partner can see has a field for what partners must not see. Source: contract section 6."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.api.operations import Operation, partner_operations
from gateway.app.partner import PartnerOperations
from gateway.app.ports import EntryPage, PoolPage, TradePage
from gateway.domain import views
from gateway.domain.offers import Balance, Capabilities, Funding
from poolkit.errors import DomainError
from poolkit.http.errors import error_body
from pools.gateway.v1 import partner_pb2
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2

# One word each of: venue, provider, route, exchange balance, treasury wallet, market-maker terms, rebalancing level,
# worker name, raw provider payload, secret. A field is forbidden when any word of its name begins with one of them.
FORBIDDEN: Final = (
    "venue", "provider", "rout", "exchange", "treasury", "wallet", "market", "maker", "rebalanc", "worker", "raw",
    "payload", "secret",
)  # fmt: skip
WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

OPERATIONS: Final = partner_operations(PartnerOperations(quotes=None, trades=None, settlements=None, ledger=None))  # type: ignore[arg-type]
ENTRIES: Final = EntryPage("EUR", "0.00", [types_pb2.LedgerEntry()], "")
# What each operation's use case answers, as colleagues send it.
ANSWERS: Final = {
    "transact": types_pb2.Trade(),
    "create_quote": types_pb2.Quote(),
    "list_pools": PoolPage([quote_pb2.Pool()], ""),
    "get_capabilities": Capabilities(quote_pb2.Pool(), "standard", None, ()),
    "get_balance": Balance("standard", (), True, "EUR", None),
    "get_funding": Funding("EUR", None, ""),
    "get_transaction": types_pb2.Trade(),
    "get_quote": types_pb2.Quote(),
    "reject_quote": types_pb2.Quote(),
    "get_trade": types_pb2.Trade(),
    "list_trades": TradePage([types_pb2.Trade()], ""),
    "list_ledger_entries": ENTRIES,
}


def is_forbidden(name: str) -> bool:
    """Whether a field of this name, in snake_case or camelCase, would show what partners must not see."""
    return any(word.lower().startswith(FORBIDDEN) for word in WORD.findall(name))


def fields(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """Every field of the message and of all that it holds."""
    for field in message.fields:
        yield field
        inner = field.message_type
        if inner is not None and inner.full_name not in seen:
            yield from fields(inner, seen | {inner.full_name})


def keys(value: Any) -> Iterator[str]:
    """Every key of a JSON value, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def partner_messages() -> list[Descriptor]:
    """What goes in and out of the partner's gRPC service."""
    methods = partner_pb2.DESCRIPTOR.services_by_name["PartnerService"].methods
    return [message for method in methods for message in (method.input_type, method.output_type)]


@pytest.mark.parametrize(
    "name",
    [
        "venue", "provider_event_id", "providerEventId", "route", "routing_id", "exchange_balance", "treasury_wallet",
        "treasuryWallet", "market_maker_terms", "rebalancing_level", "worker_name", "raw_payload", "webhookSecret",
    ],
)  # fmt: skip
def test_each_kind_of_forbidden_field_is_recognized(name: str) -> None:
    assert is_forbidden(name)


@pytest.mark.parametrize("message", partner_messages(), ids=lambda message: message.name)
def test_no_partner_message_has_a_forbidden_field(message: Descriptor) -> None:
    assert [field.full_name for field in fields(message) if is_forbidden(field.name)] == []


def test_the_walk_reaches_the_fields_inside_answers() -> None:
    walked = {field.full_name for message in partner_messages() for field in fields(message)}
    trade, quote, entry = types_pb2.Trade.DESCRIPTOR, types_pb2.Quote.DESCRIPTOR, types_pb2.LedgerEntry.DESCRIPTOR
    assert {field.full_name for shared in (trade, quote, entry) for field in shared.fields} <= walked


def test_no_partner_message_has_a_field_that_may_hold_anything() -> None:
    # The names inside a map, a Struct or bytes are nobody's promise, so no walk could vouch for them.
    opaque = [
        field.full_name
        for message in partner_messages()
        for field in fields(message)
        if field.type == FieldDescriptor.TYPE_BYTES
        or (
            field.message_type is not None
            and (field.message_type.GetOptions().map_entry or field.message_type.name in ("Any", "Struct"))
        )
    ]
    assert opaque == []


def test_every_operation_has_an_answer_to_walk() -> None:
    assert {operation.name for operation in OPERATIONS} == set(ANSWERS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_json_answer_and_no_json_request_has_a_forbidden_key(operation: Operation) -> None:
    answered = set(keys(operation.view(ANSWERS[operation.name])))
    assert answered
    asked = set(operation.request.__struct_encode_fields__)
    assert [name for name in sorted(answered | asked) if is_forbidden(name)] == []


def test_no_webhook_and_no_error_has_a_forbidden_key() -> None:
    moment = types_pb2.Trade().create_time
    webhook = views.webhook_view(event_id="", event_type="", occurred=moment, trade=types_pb2.Trade())
    errors = [error_body(error(), "req_1") for error in DomainError.by_code.values()]
    assert "transactId" in set(keys(webhook))
    assert [name for name in keys([webhook, *errors]) if is_forbidden(name)] == []
