"""Owns deciding about holds: who gets one, and what a repeated question hears.

The first answer to a trade id is for good, refusals included; a voided one refuses whatever comes after it.
Source: architecture section 4.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ledger.domain.identities import hold_id
from poolkit.errors import AttemptUndone, DomainError, InsufficientBalance, NotFound

OPEN: Final = "open"
CONSUMED: Final = "consumed"
VOIDED: Final = "voided"
REFUSED: Final = "refused"


class HoldRequest(NamedTuple):
    """A hold somebody asks for. The amount is in minor units, greater than zero."""

    trade_id: str
    organization_id: str
    currency: str
    amount: int
    gated: bool
    """Whether to refuse when the available balance is less than the amount."""
    quote_id: str
    request_id: str
    client_reference: str
    traceparent: str


class StoredHold(NamedTuple):
    """The row there is of a trade id."""

    organization_id: str
    state: str


Answer = str | DomainError
"""A hold's id, or why there is none."""


def stored_answer(trade_id: str, organization_id: str, stored: StoredHold) -> Answer:
    """What a repeated question hears: the first answer, unless the trade id was voided since."""
    if stored.organization_id != organization_id:
        return NotFound("hold")
    if stored.state == VOIDED:
        return AttemptUndone()
    return InsufficientBalance() if stored.state == REFUSED else hold_id(trade_id)


def decide(
    requests: Iterable[HoldRequest], stored: Mapping[str, StoredHold], available: dict[tuple[str, str], int]
) -> dict[str, str]:
    """The state of each new hold by trade id, `open` or `refused`, in the order asked.

    `available` is by organization and currency; it goes down with each hold, so that a later request of the same batch
    sees what an earlier one left. A refused request takes nothing and does not stand in a smaller one's way.
    """
    states: dict[str, str] = {}
    for request in requests:
        if request.trade_id in stored or request.trade_id in states:
            continue
        account = (request.organization_id, request.currency)
        if request.gated and available[account] < request.amount:
            states[request.trade_id] = REFUSED
        else:
            available[account] -= request.amount
            states[request.trade_id] = OPEN
    return states
