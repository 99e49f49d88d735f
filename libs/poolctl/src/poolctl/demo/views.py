"""Owns the pictures of the demo: the partner's ledger, the legs behind it, and the last line."""

from decimal import Decimal
from typing import TYPE_CHECKING

from poolctl.demo.story import Told
from poolctl.screen import amount_text, seconds_text, table
from poolctl.tracing.tree import walk

if TYPE_CHECKING:
    from rich.console import RenderableType


def ledger_view(told: Told) -> "RenderableType":
    """The partner's entries, newest first, as the partner API gives them."""
    shown = table("entry", "reason", "change>", "balance after>", "order")
    for entry in told.ledger["entries"]:
        shown.add_row(
            entry["id"],
            entry["reason"],
            amount_text(entry["delta"]),
            amount_text(entry["balanceAfter"]),
            entry["clientReference"] or "",
        )
    return shown


def legs_view(told: Told) -> "RenderableType":
    """Every leg that the trade posted, one column a currency, and their sums."""
    legs = [record["facts"] for record in told.journey["records"] if record["kind"] == "entry"]
    amounts = [(leg["account"].partition(":")[0], *leg["amount"].split(" ")) for leg in legs]
    currencies = sorted({currency for _, _, currency in amounts})
    shown = table("account", *(f"{currency}>" for currency in currencies))
    for account, amount, currency in amounts:
        shown.add_row(account, *(amount_text(amount) if currency == each else "" for each in currencies))
    sums = [sum(Decimal(amount) for _, amount, currency in amounts if currency == each) for each in currencies]
    shown.add_row("sum", *map(str, sums), style="bold")
    return shown


def last_line(told: Told, seconds: float) -> str:
    """The whole demo in a line."""
    quote, spans, told_in = told.quote, sum(1 for _ in walk(told.spans)), seconds_text(told.settled_seconds)
    return (
        f"demo: {quote['fiatAmount']} {quote['fiatCurrency']} became {quote['cryptoAmount']} "
        f"{quote['cryptoCurrency']}, "
        f"{told.trade['status']} and told in {told_in}, {spans} spans, {seconds_text(seconds)} in all"
    )
