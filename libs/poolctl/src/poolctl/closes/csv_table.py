"""Owns a close as one CSV table: a row for every figure and every exception, told apart by the column `section`."""

import csv
from collections.abc import AsyncIterator
from typing import TextIO

from poolctl.closes.document import kind_word, money_text, status_and_side
from poolctl.commands.documents import time_text
from pools.ledger.v1 import close_pb2
from pools.types.v1 import types_pb2

ID_COLUMNS = tuple(field.name for field in close_pb2.ExceptionIds.DESCRIPTOR.fields)
COLUMNS = (
    "business_date",
    "revision",
    "section",
    "name",
    "count",
    "amount",
    "currency",
    "number",
    "amounts",
    "occurred_at",
    "age_seconds",
    "description",
    "next_step",
    "runbook",
    "candidates",
    *ID_COLUMNS,
)
# A spreadsheet takes a cell that begins so for a formula; names and references come from strangers.
_FORMULA_STARTS = ("=", "+", "@", "\t", "\r")


async def write_csv(
    target: TextIO, close: close_pb2.Close, exceptions: AsyncIterator[close_pb2.CloseException]
) -> None:
    """Writes the table; exceptions as they arrive, so that a million of them need no memory."""
    writer = csv.DictWriter(target, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    own = {"business_date": close.business_date, "revision": close.revision}
    for row in _figures(close):
        writer.writerow(own | row)
    async for found in exceptions:
        writer.writerow(own | _exception(found))


def _figures(close: close_pb2.Close) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"section": "summary", "name": "matched", "count": close.matched_count},
        {"section": "summary", "name": "exceptions", "count": close.exception_count},
        {"section": "summary", "name": "balanced" if close.balanced else "not_balanced"},
        {"section": "summary", "name": "provisional" if close.provisional else "final"},
    ]
    rows += (_figure("trial_balance", each.account_kind, each.entry_count, each.amount) for each in close.trial_balance)
    for total in close.trade_totals:
        status, side = status_and_side(total)
        for what, money in (("fiat", total.fiat), ("fee", total.fee), ("crypto", total.crypto)):
            rows.append(_figure("trades", f"{status}.{side}.{what}", total.trade_count, money))
    for payin in close.payin_totals:
        rows.append(_figure("payins", "received", payin.payin_count, payin.amount))
        rows.append(_figure("payins", "unallocated", payin.unallocated_count, payin.unallocated_amount))
    for stock in close.inventory:
        rows.append(_figure("inventory", f"{stock.pool_id}.ledger", "", stock.ledger))
        rows.append(_figure("inventory", f"{stock.pool_id}.quote", "", stock.quote))
    return rows


def _figure(section: str, name: str, count: int | str, money: types_pb2.Money) -> dict[str, object]:
    return {"section": section, "name": name, "count": count, "amount": money.amount, "currency": money.currency}


def _exception(found: close_pb2.CloseException) -> dict[str, object]:
    amounts = [f"{each.side} {each.of} {money_text(each.amount) or 'unknown'}" for each in found.amounts]
    return {
        "section": "exceptions",
        "name": kind_word(found.kind),
        "number": found.number,
        "amounts": "; ".join(amounts),
        "occurred_at": time_text(found.occur_time) or "",
        "age_seconds": found.age_seconds,
        "description": _harmless(found.description),
        "next_step": found.next_step,
        "runbook": found.runbook,
        "candidates": " ".join(str(candidate.number) for candidate in found.candidates),
        **{name: _harmless(getattr(found.ids, name)) for name in ID_COLUMNS},
    }


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
