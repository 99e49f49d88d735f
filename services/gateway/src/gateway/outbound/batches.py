"""One item at a time through a colleague's batch RPC: concurrent callers share a call, each with its own deadline."""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from poolkit.batching import Batcher
from poolkit.context import CallContext
from poolkit.errors import DeadlineExceeded, DomainError, Internal, Overloaded, Unavailable
from poolkit.rpc.deadlines import MARGIN_SECONDS
from poolkit.telemetry.tracing import batch_span
from pools.types.v1 import types_pb2

SIZE_MAX: Final = 256


class Item(Protocol):
    """Anything that is asked on somebody's behalf."""

    @property
    def context(self) -> CallContext:
        """For whom, and until when."""


I = TypeVar("I", bound=Item)  # noqa: E741 - item in, answer out
A = TypeVar("A")

Ask = Callable[[list[I], float], Awaitable[Sequence[A | DomainError]]]
"""Asks for a batch within so many seconds and answers each item by its position."""


class BatchRpc(Generic[I, A]):
    """Coalesces callers; a `repeatable` RPC is asked again item by item when a batch fails for no known reason.

    More than `waiting_max` callers waiting for the next batch: Overloaded at once.
    """

    def __init__(
        self,
        name: str,
        ask: Ask[I, A],
        *,
        repeatable: bool,
        waiting_max: int,
        size_max: int = SIZE_MAX,
        in_flight_max: int = 1,
    ) -> None:
        self._name = f"gateway.{name}"
        self._ask = ask
        self._repeatable = repeatable
        self._batcher: Batcher[I, A] = Batcher(
            name, self._write, size_max=size_max, queue_max=waiting_max, in_flight_max=in_flight_max
        )

    def __call__(self, item: I) -> Awaitable[A]:
        """The item's answer; raises its refusal. DeadlineExceeded and Unavailable leave the outcome unknown."""
        return self._batcher.submit(item, seconds_max=item.context.remaining())

    async def drain(self) -> None:
        """Returns when all that were accepted are answered."""
        await self._batcher.drain()

    async def _write(self, batch: list[I]) -> Sequence[A | Exception]:
        contexts = [item.context for item in batch]
        seconds = max(context.deadline for context in contexts) - time.time() - MARGIN_SECONDS
        try:
            with batch_span(self._name, contexts, kind="client"):
                return await self._ask(batch, seconds)
        except DomainError as error:
            if self._repeatable and isinstance(error, Internal):
                raise
            known = isinstance(error, Unavailable | DeadlineExceeded | Overloaded)
            # One exception raised in many tasks would grow its traceback with each.
            return [copy.copy(error) if known else Internal() for _ in batch]


def fill_context(proto: types_pb2.RequestContext, context: CallContext, mode: types_pb2.Mode.ValueType) -> None:
    """Writes the context into an item that is already part of its batch, which saves a copy of it."""
    proto.request_id = context.request_id
    proto.organization_id = context.organization_id
    proto.mode = mode
    proto.traceparent = context.traceparent
    whole = int(context.deadline)
    moment = proto.deadline_time
    moment.seconds = whole
    moment.nanos = int((context.deadline - whole) * 1e9)
