"""Streams in key order meet in groups of one key, whatever their pages; an owner that breaks the order is found out."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.close.merging import Ordered, OutOfOrder, merge

KEYS = st.text("abzé0_", min_size=1, max_size=3)


async def pages(rows: Sequence[tuple[Any, ...]], size: int) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


async def merged(streams: Sequence[Sequence[tuple[Any, ...]]], size: int) -> list[tuple[str, list[tuple[Any, ...]]]]:
    ordered = [Ordered(str(number), pages(rows, size)) for number, rows in enumerate(streams)]
    return [group async for group in merge(ordered)]


@given(st.lists(st.lists(KEYS, max_size=12), min_size=1, max_size=4), st.integers(1, 5))
async def test_each_key_comes_once_in_order_with_every_row_of_every_stream(keys: list[list[str]], size: int) -> None:
    streams = [[(key, number) for number, key in enumerate(sorted(each))] for each in keys]
    expected: dict[str, list[list[Any]]] = defaultdict(lambda: [[] for _ in streams])
    for place, rows in enumerate(streams):
        for row in rows:
            expected[row[0]][place].append(row)
    groups = await merged(streams, size)
    assert [key for key, _ in groups] == sorted(expected, key=str.encode)
    assert {key: [list(rows) for rows in found] for key, found in groups} == expected


async def test_a_stream_out_of_order_is_refused_rather_than_merged_wrongly() -> None:
    with pytest.raises(OutOfOrder, match="told of a after b"):
        await merged([[("b",), ("a",)], [("a",)]], 1)
