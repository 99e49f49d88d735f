"""Owns a close as one HTML page: read in any browser, without a network, and printed from it to paper or PDF."""

from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from html import escape
from typing import TextIO

from poolctl.closes.document import counted, kind_word, known_ids, money_text, status_and_side
from poolctl.commands.documents import time_text
from poolctl.screen import amount_text, seconds_text
from pools.ledger.v1 import close_pb2
from pools.types.v1 import types_pb2

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1a1a1a }
h1 { margin-bottom: 0 } h2 { margin: 2rem 0 .5rem; font-size: 1.1rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .25rem .6rem; text-align: left; vertical-align: top }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd } .n { text-align: right; white-space: nowrap }
code { font-size: .85em; overflow-wrap: anywhere } .bad { color: #a40000; font-weight: 600 } .good { color: #14641b }
tr.sum td { border-bottom: 2px solid #888; font-weight: 600 } tr { break-inside: avoid }
section.exception { border-left: 4px solid #a40000; padding: .1rem .9rem; margin: 1rem 0; break-inside: avoid }
section.exception table { width: auto; margin: .4rem 0 } section.exception h3 { margin: .4rem 0; font-size: 1rem }
section.exception p { margin: .4rem 0 } .ids td { padding: .05rem .6rem; border: 0 } .ids td:first-child { color: #555 }
@media print { body { margin: 0; max-width: none } @page { margin: 15mm } }
"""


async def write_page(
    target: TextIO, close: close_pb2.Close, exceptions: AsyncIterator[close_pb2.CloseException]
) -> None:
    """Writes the page; exceptions as they arrive."""
    mode = types_pb2.Mode.Name(close.mode).removeprefix("MODE_").lower()
    title = f"Daily close {close.business_date}, {mode} mode, revision {close.revision}"
    target.write(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>\n'
        f"<h1>{title}</h1>\n<p>{_verdict(close)}</p>\n"
    )
    _summary(target, close)
    _figures(target, close)
    target.write(f"<h2>Exceptions ({close.exception_count})</h2>\n")
    if close.exception_count == 0:
        target.write('<p class="good">None: trades, ledger and reports agree.</p>\n')
    async for found in exceptions:
        target.write(_exception(found))
    target.write("</html>\n")


def _verdict(close: close_pb2.Close) -> str:
    books = '<span class="good">The books balance.</span>'
    if not close.balanced:
        books = '<span class="bad">The books do not sum to zero.</span>'
    kind = "Provisional: the date has not ended." if close.provisional else "Final for everything up to the cut."
    return f"{books} {kind}"


def _summary(target: TextIO, close: close_pb2.Close) -> None:
    signature = close.signature
    rows = [
        ("Close", close.close_id),
        ("Cut", time_text(close.cut_time) or ""),
        ("Stored", time_text(close.create_time) or ""),
        ("Asked for by", close.requested_by),
        ("Request", close.request_id),
        ("Matched trades", f"{close.matched_count:,}"),
        ("Exceptions", _counts(close)),
        ("Content", f"SHA-256 {close.content_hash}"),
        ("Chain heads", f"statement {signature.statement_number}, key {signature.key_id}, {signature.heads_digest}"),
    ]
    target.write("<table>\n")
    target.writelines(f"<tr><th>{name}</th><td><code>{escape(value)}</code></td></tr>\n" for name, value in rows)
    target.write("</table>\n")
    if close.HasField("changes"):
        target.write(f"<h2>What is other than in revision {close.revision - 1}</h2>\n<ul>\n")
        target.writelines(f"<li>{escape(sentence)}</li>\n" for sentence in close.changes.sentences)
        target.write("</ul>\n")


def _counts(close: close_pb2.Close) -> str:
    return ", ".join(f"{count:,} {_words(kind)}" for kind, count in counted(close.exception_totals).items()) or "none"


def _figures(target: TextIO, close: close_pb2.Close) -> None:
    _table(target, "Trial balance", ("Accounts", "Entries>", "Sum>"), _trial_balance(close), sums="all accounts")
    _table(
        target,
        "Trades",
        ("Status", "Side", "Trades>", "Fiat>", "Fee>", "Crypto>"),
        (
            (
                *status_and_side(total),
                f"{total.trade_count:,}",
                _money(total.fiat),
                _money(total.fee),
                _money(total.crypto),
            )
            for total in close.trade_totals
        ),
    )
    _table(
        target,
        "Pay-ins",
        ("Received>", "Sum>", "Without a known reference>", "Sum>"),
        (
            (
                f"{total.payin_count:,}",
                _money(total.amount),
                f"{total.unallocated_count:,}",
                _money(total.unallocated_amount),
            )
            for total in close.payin_totals
        ),
    )
    _table(
        target,
        "Inventory",
        ("Pool", "Ledger>", "Quote service>"),
        ((line.pool_id, _money(line.ledger), _money(line.quote)) for line in close.inventory),
    )


def _trial_balance(close: close_pb2.Close) -> Iterable[Sequence[str]]:
    """Each currency's accounts, and under them what all of them come to: zero."""
    lines = list(close.trial_balance)
    for currency in dict.fromkeys(line.amount.currency for line in lines):
        own = [line for line in lines if line.amount.currency == currency]
        for line in own:
            yield line.account_kind, f"{line.entry_count:,}", _money(line.amount)
        total = sum((Decimal(line.amount.amount) for line in own), Decimal(0))
        entries = sum(line.entry_count for line in own)
        yield "all accounts", f"{entries:,}", f"{amount_text(f'{total:f}')} {currency}"


def _exception(found: close_pb2.CloseException) -> str:
    since = f"{time_text(found.occur_time)}, {seconds_text(found.age_seconds)} before the cut"
    candidates = ", ".join(f"number {each.number} ({_words(kind_word(each.kind))})" for each in found.candidates)
    ids = (
        f"<tr><td>{name}</td><td><code>{escape(value)}</code></td></tr>" for name, value in known_ids(found.ids).items()
    )
    parts = [
        f"<h3>{found.number}. {_words(kind_word(found.kind))}</h3>",
        f"<p>{escape(found.description)}</p>",
        _amounts(found.amounts),
        f"<p>Since: {since}</p>" if found.HasField("occur_time") else "",
        f"<p>May belong to: {candidates}</p>" if candidates else "",
        f"<p>Next: {escape(found.next_step)} (<code>{escape(found.runbook)}</code>)</p>",
        f'<table class="ids">{"".join(ids)}</table>',
    ]
    return '<section class="exception">' + "\n".join(part for part in parts if part) + "</section>\n"


def _amounts(amounts: Sequence[close_pb2.ExceptionAmount]) -> str:
    """What it is an amount of downwards, who says so across; what the sides differ about stands out."""
    if not amounts:
        return ""
    sides = list(dict.fromkeys(each.side for each in amounts))
    rows = [f"<tr><th></th>{''.join(f'<th class=n>{escape(side)}</th>' for side in sides)}</tr>"]
    for what in dict.fromkeys(each.of for each in amounts):
        said = [[each.amount for each in amounts if (each.of, each.side) == (what, side)] for side in sides]
        # The books have what a partner pays below zero.
        known = {money_text(money).removeprefix("-") for moneys in said for money in moneys}
        bad = " bad" if len(known) > 1 else ""
        cells = (
            f'<td class="n{bad}">{"<br>".join(_money(money) or "unknown" for money in moneys)}</td>' for moneys in said
        )
        rows.append(f"<tr><td>{escape(what)}</td>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _table(
    target: TextIO, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, sums: str = ""
) -> None:
    """A row that begins with `sums` is the sum of those above it."""
    numbers = [heading.endswith(">") for heading in headings]
    cells = (f"<th{_class(heading.endswith('>'))}>{heading.removesuffix('>')}</th>" for heading in headings)
    target.write(f"<h2>{title}</h2>\n<table>\n<thead><tr>{''.join(cells)}</tr></thead>\n")
    for row in rows:
        cells = (f"<td{_class(number)}>{escape(cell)}</td>" for cell, number in zip(row, numbers, strict=True))
        target.write(f"<tr{' class=sum' if row[0] == sums else ''}>{''.join(cells)}</tr>\n")
    target.write("</table>\n")


def _class(number: bool) -> str:
    return ' class="n"' if number else ""


def _money(money: types_pb2.Money) -> str:
    return f"{amount_text(money.amount)} {money.currency}" if money_text(money) else ""
