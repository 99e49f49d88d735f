"""Owns handing thousands of values to one statement: array literals, which cost a tenth of the driver's own arrays.

Measured, per element: the driver's text[] 0.28 µs and bigint[] 0.16 µs of this process's CPU, a literal 0.03 µs. The
statement casts the text: `$1::text::bigint[]`. Few or binary values are better handed over as lists.
"""

from collections.abc import Iterable, Sequence


def texts(values: Sequence[str]) -> str:
    """A `text[]` literal. Every value is quoted, so only quotes and backslashes inside one need care."""
    literal = '{"' + '","'.join(values) + '"}' if values else "{}"
    if "\\" in literal or literal.count('"') != 2 * len(values):
        return "{" + ",".join([f'"{_escaped(value)}"' for value in values]) + "}"
    return literal


def numbers(values: Iterable[int]) -> str:
    """A literal of integers."""
    return decimals(map(str, values))


def decimals(values: Iterable[str]) -> str:
    """A literal of numbers that are text already."""
    return "{" + ",".join(values) + "}"


def nullable(values: Iterable[int | str | None]) -> str:
    """The same with NULL for None."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
