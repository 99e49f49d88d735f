"""Owns reading requests: protobuf items as the domain's own objects, or a refusal that names the field."""

from typing import Final

from ledger.domain.amounts import minor_units
from ledger.domain.holds import HoldRequest
from ledger.domain.identities import TRADE
from poolkit.context import CallContext
from poolkit.errors import InvalidRequest
from poolkit.money import DIGITS, FIAT, parse_amount
from pools.ledger.v1 import ledger_pb2

PAGE_SIZE_MAX: Final = 200
ID_LENGTH_MAX: Final = 128


def text(value: str, field: str) -> str:
    """What a text column can hold: anything but NUL, which would fail its whole batch. Raises InvalidRequest."""
    if "\x00" in value:
        raise InvalidRequest("it has a NUL character in it; send text.", field=field)
    return value


def trade_id(candidate: str) -> str:
    """A trade's id: `pt_…`. Raises InvalidRequest."""
    if not candidate.startswith(TRADE) or not len(TRADE) < len(candidate) <= ID_LENGTH_MAX:
        raise InvalidRequest("it is not a trade's id.", field="trade_id")
    return text(candidate, "trade_id")


def currency(code: str) -> str:
    """A currency there is. Raises InvalidRequest."""
    if code not in DIGITS:
        raise InvalidRequest(f"it is not one of {', '.join(DIGITS)}.", field="currency")
    return code


def fiat_currency(code: str) -> str:
    """A currency banks know. Raises InvalidRequest."""
    if code not in FIAT:
        raise InvalidRequest(f"it is not one of {', '.join(sorted(FIAT))}.", field="currency")
    return code


def hold_request(item: ledger_pb2.PlaceHoldsItem, own: CallContext) -> HoldRequest:
    """One hold to take, under its own span. Raises InvalidRequest."""
    code = item.amount.currency
    parse_amount(item.amount.amount, code, field="amount")
    return HoldRequest(
        trade_id(item.trade_id),
        own.organization_id,
        code,
        minor_units(item.amount.amount, code),
        item.balance_gate_enabled,
        text(item.quote_id, "quote_id"),
        own.request_id,
        text(item.client_reference, "client_reference"),
        own.traceparent,
    )
