"""Owns reading requests: protobuf items as the domain's own objects, or a refusal that names the field."""

from collections.abc import Sized
from typing import Final

from ledger.domain.amounts import minor_units
from ledger.domain.holds import HoldRequest
from ledger.domain.identities import TRADE
from poolkit.context import CallContext
from poolkit.errors import InvalidRequest
from poolkit.money import DIGITS, FIAT, parse_amount
from poolkit.rpc.convert import to_context
from pools.ledger.v1 import ledger_pb2
from pools.types.v1 import types_pb2

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 200
ID_LENGTH_MAX: Final = 128


def check_size(items: Sized, items_max: int) -> None:
    """Refuse a batch of no items or too many. Raises InvalidRequest."""
    if not 1 <= len(items) <= items_max:
        raise InvalidRequest(f"a batch has 1 to {items_max} items, not {len(items)}.", field="items")


def own_context(proto: types_pb2.RequestContext, mode: str) -> CallContext:
    """Who asks. Raises InvalidRequest for another mode, or no organization."""
    context = to_context(proto, mode)
    if not context.organization_id:
        raise InvalidRequest("it is missing; name the organization the item acts for.", field="context.organization_id")
    for name in ("organization_id", "request_id", "traceparent"):
        text(getattr(context, name), f"context.{name}")
    return context


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


def page_size(asked: int) -> int:
    """How many entries a page has. Raises InvalidRequest when out of range."""
    if not 0 <= asked <= PAGE_SIZE_MAX:
        raise InvalidRequest(f"it must be 1 to {PAGE_SIZE_MAX}, not {asked}.", field="page_size")
    return asked or PAGE_SIZE


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
