"""Declares what the use cases need from outside; `trade.outbound` fulfils it.

Every call answers item by item, in order, and may be repeated with the same trade ids. A call that raises leaves its
outcome unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolkit.errors import DomainError
from poolkit.outbox import OutboxEvent
from trade.domain.intent import Attempt
from trade.domain.lifecycle import Transition
from trade.domain.trade import Hold, Terms, Trade


class Quotes(Protocol):
    """The quote service."""

    async def consume(self, attempts: Sequence[Attempt], seconds: float) -> list[Terms | DomainError]:
        """Consumes each attempt's quote for its trade id; the locked terms or the stored refusal."""
        ...

    async def give_back(self, attempts: Sequence[Attempt], seconds: float) -> None:
        """Undoes consumptions; once it returns, none of the trade ids holds inventory or ever will."""
        ...


class Holds(Protocol):
    """The ledger."""

    async def place(self, attempts: Sequence[tuple[Attempt, Hold]], seconds: float) -> list[DomainError | None]:
        """Holds each attempt's fiat; None where the hold is placed, else the stored refusal."""
        ...

    async def void(self, attempts: Sequence[Attempt], seconds: float) -> None:
        """Voids holds; once it returns, none of the trade ids holds money or ever will."""
        ...


class Events(Protocol):
    """How a change is told."""

    def reserved(self, trade: Trade, traceparent: str) -> OutboxEvent:
        """The event of a trade that was just reserved."""
        ...

    def terminal(self, transition: Transition) -> OutboxEvent:
        """The event of a terminal transition, numbered by the trade's terminal count."""
        ...
