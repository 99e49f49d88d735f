"""Owns how a batch RPC is answered: item by item, in order, each under its own span, each failing alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from poolkit.context import CallContext
from poolkit.errors import DomainError, InvalidRequest
from poolkit.telemetry.tracing import item_spans
from pools.types.v1 import types_pb2
from quote.api.conversion import own_context

ITEMS_MAX: Final = 256


class HasContext(Protocol):
    """An item of a batch RPC."""

    @property
    def context(self) -> types_pb2.RequestContext:
        """Who asks."""


Item = TypeVar("Item", bound=HasContext)
Read = TypeVar("Read")
Answer = TypeVar("Answer")


async def answer_items(
    name: str,
    items: Sequence[Item],
    mode: str,
    *,
    read: Callable[[Item, CallContext], Read],
    work: Callable[[list[Read]], Awaitable[Sequence[Answer]]],
    items_max: int = ITEMS_MAX,
) -> list[Answer | DomainError]:
    """Reads the items, lets `work` answer those that can be read, and answers in their order.

    `name` is the items' span. Raises InvalidRequest for a batch of no items or too many.
    """
    if not 1 <= len(items) <= items_max:
        raise InvalidRequest(f"a batch has 1 to {items_max} items, not {len(items)}.", field="items")
    contexts: dict[int, CallContext] = {}
    answers: dict[int, Answer | DomainError] = {}
    for index, item in enumerate(items):
        try:
            contexts[index] = own_context(item.context, mode)
        except DomainError as error:
            answers[index] = error
    with item_spans(name, list(contexts.values())) as spans:
        readable: list[tuple[int, int, Read]] = []
        for position, index in enumerate(contexts):
            try:
                readable.append((index, position, read(items[index], spans.contexts[position])))
            except DomainError as error:
                answers[index] = error
        if readable:
            worked = await work([value for _, _, value in readable])
            for (index, position, _), answer in zip(readable, worked, strict=True):
                answers[index] = answer
                if isinstance(answer, DomainError):
                    spans[position].fail(answer)
    return [answers[index] for index in range(len(items))]
