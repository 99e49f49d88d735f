"""The bound of RPCs that are called one at a time: beyond it a call is refused at once rather than left to wait."""

from __future__ import annotations

from types import TracebackType

from poolkit.errors import Overloaded

WAITING_MAX = 1_024
"""Calls that wait for one RPC unless the settings say otherwise: what is served within a call's deadline, or so."""


class Bounded:
    """As many calls under way as it is told. `with` raises Overloaded where there are that many."""

    __slots__ = ("_count_max", "_under_way")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._under_way = 0

    def __enter__(self) -> None:
        if self._under_way >= self._count_max:
            raise Overloaded
        self._under_way += 1

    def __exit__(
        self, _kind: type[BaseException] | None, _failure: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._under_way -= 1
