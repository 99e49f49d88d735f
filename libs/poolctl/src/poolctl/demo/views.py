"""Owns the pictures of the demo: the partner's ledger, the books behind it, and the last line."""

from typing import TYPE_CHECKING

from poolctl.demo.story import Told
from poolctl.screen import amount_text, seconds_text, table
from poolctl.tracing.tree import walk

if TYPE_CHECKING:
    from rich.console import RenderableType


def ledger_view(told: Told) -> "RenderableType":
    """The partner's entries, newest first, as the partner API gives them."""
    shown = table("entry", "reason", "change>", "balance after>", "trade")
    for entry in told.ledger["entries"]:
        shown.add_row(
            entry["id"],
            entry["reason"],
            amount_text(entry["delta"]),
            amount_text(entry["balanceAfter"]),
            entry["transactId"] or "",
        )
    return shown


def books_view(told: Told) -> "RenderableType":
    """What finance sees: every kind of account, one column a currency, each summing to zero."""
    currencies = list(dict.fromkeys(currency for _, currency, _ in told.books))
    amounts = {(kind, currency): amount for kind, currency, amount in told.books}
    shown = table("account", *(f"{currency}>" for currency in currencies))
    for kind in dict.fromkeys(kind for kind, _, _ in told.books):
        shown.add_row(kind, *(amount_text(amounts.get((kind, currency), "0")) for currency in currencies))
    return shown


def last_line(told: Told, seconds: float) -> str:
    """The whole demo in a line."""
    quote = told.quote
    spans, outcome = sum(1 for _ in walk(told.spans)), f"{told.trade['status']} and told"
    return (
        f"demo: {quote['fiatAmount']} {quote['fiatCurrency']} became {quote['cryptoAmount']} "
        f"{quote['cryptoCurrency']}, {outcome} in {seconds_text(told.settled_seconds)}, {spans} spans; "
        f"all in {seconds_text(seconds)}"
    )
