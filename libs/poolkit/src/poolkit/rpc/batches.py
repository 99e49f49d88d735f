"""Owns how a batch RPC is answered: item by item, in order, each under its own span, each failing alone."""

from collections.abc import Awaitable, Callable, Sequence, Sized
from typing import Any, Final, Protocol, TypeVar

from poolkit.context import CallContext
from poolkit.errors import DomainError, InvalidRequest
from poolkit.rpc.convert import to_context
from poolkit.telemetry.spans import Span
from poolkit.telemetry.tracing import item_spans
from pools.types.v1 import types_pb2

ITEMS_MAX: Final = 256
ID_CHARACTERS_MAX: Final = 128


class HasContext(Protocol):
    """An item of a batch RPC."""

    @property
    def context(self) -> types_pb2.RequestContext:
        """Who asks."""


Item = TypeVar("Item", bound=HasContext)
Read = TypeVar("Read")
Answer = TypeVar("Answer")


def is_storable(text: str) -> bool:
    """Whether a database can keep it as an id: not too long for an index, and without U+0000."""
    return len(text) <= ID_CHARACTERS_MAX and "\x00" not in text


def check_size(items: Sized, items_max: int = ITEMS_MAX) -> None:
    """Refuses a batch of no items or too many. Raises InvalidRequest."""
    if not 1 <= len(items) <= items_max:
        raise InvalidRequest(f"a batch has 1 to {items_max} items, not {len(items)}.", field="items")


def own_context(proto: types_pb2.RequestContext, mode: str, *, needs_organization: bool = True) -> CallContext:
    """An item's context, fit to be stored. Raises InvalidRequest: one that is not would fail its whole batch."""
    context = to_context(proto, mode)
    for field in ("request_id", "organization_id", "traceparent"):
        if not is_storable(getattr(context, field)):
            raise InvalidRequest(
                f"it is text of at most {ID_CHARACTERS_MAX} characters, and none of them NUL.", field=f"context.{field}"
            )
    if needs_organization and not context.organization_id:
        raise InvalidRequest("it is missing; name the organization the item acts for.", field="context.organization_id")
    return context


def _nothing(_span: Span, _answer: object) -> None:
    pass


async def answer_items(
    name: str,
    items: Sequence[Item],
    mode: str,
    *,
    read: Callable[[Item, CallContext], Read],
    work: Callable[[list[Read]], Awaitable[Sequence[Answer]]],
    note: Callable[[Span, Any], None] = _nothing,
    items_max: int = ITEMS_MAX,
    needs_organization: bool = True,
) -> list[Answer | DomainError]:
    """Reads the items, lets `work` answer those that can be read, and answers in their order.

    `name` is the items' span, to which `note` may add what the answer says. Raises InvalidRequest for a batch of no
    items or too many.
    """
    check_size(items, items_max)
    contexts: dict[int, CallContext] = {}
    answers: dict[int, Answer | DomainError] = {}
    for index, item in enumerate(items):
        try:
            contexts[index] = own_context(item.context, mode, needs_organization=needs_organization)
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
                else:
                    note(spans[position], answer)
    return [answers[index] for index in range(len(items))]
