"""Owns how output looks: width, colours, numbers with units, the same on a terminal, in a file and in a CI log."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH_MIN, WIDTH_MAX, WIDTH_OF_FILES = 80, 120, 100

SERVICE_COLOURS = {
    "gateway": "cyan",
    "quote": "magenta",
    "trade": "green",
    "webhook-ingest": "blue",
    "ledger": "yellow",
    "sandbox": "bright_black",
}


def console(*, stderr: bool = False) -> "Console":
    """What to print on. It takes words as they are: an id with brackets or a number is neither markup nor coloured."""
    import os

    from rich.console import Console

    plain = Console(stderr=stderr)
    wanted = plain.width if plain.is_terminal or "COLUMNS" in os.environ else WIDTH_OF_FILES
    return Console(
        stderr=stderr, width=max(WIDTH_MIN, min(WIDTH_MAX, wanted)), highlight=False, markup=False, emoji=False
    )


def table(*headings: str, **options: Any) -> "Table":
    """A table without lines; a heading that ends in `>` is of a column of numbers, flush right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", **options)
    for heading in headings:
        if heading.endswith(">"):
            made.add_column(heading[:-1], justify="right", no_wrap=True)
        else:
            made.add_column(heading, overflow="fold")
    return made


def colour_of(service: str) -> str:
    """A service's colour, the same everywhere."""
    return SERVICE_COLOURS.get(service, "white")


def seconds_text(seconds: float) -> str:
    """`840 µs`, `12.3 ms`, `0.84 s`, `12.3 s`, `2 min 5 s`, `3 h 20 min`, `4 d 7 h`: to be compared at a glance."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def amount_text(amount: str) -> str:
    """A decimal string with its thousands apart: `1,000.00`."""
    sign, digits = ("-", amount[1:]) if amount.startswith("-") else ("", amount)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def show_fields(document: dict[str, Any]) -> None:
    """One line a field. Values are printed whole, however long, so that they can be copied."""
    length = max(len(name) for name in document)
    for name, value in document.items():
        print(f"{name:<{length}}  {_value_text(value)}")


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
