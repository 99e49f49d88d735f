"""Owns what an event is whose id, or whose bank transaction, was there before: the same again, or a conflict."""

from dataclasses import dataclass
from enum import Enum


class Repeat(Enum):
    """What came again."""

    SAME_EVENT = "same_event"
    """The same event: answered as a duplicate, nothing is stored."""
    SAME_PAYIN = "same_payin"
    """Another event about a pay-in that is known: stored beside the first, without an effect of its own."""
    EVENT_CONFLICT = "event_conflict"
    """The event id with other fields: stored, and an exception of the close."""
    PAYIN_CONFLICT = "payin_conflict"
    """The bank transaction with other fields: stored, and an exception of the close."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A webhook that was there before."""

    webhook_id: str
    fingerprint: bytes


def judge(fingerprint: bytes, *, event: Earlier | None, payin: Earlier | None) -> tuple[Repeat, str] | None:
    """What an event is that could not be stored as a new one, and the webhook it repeats; None if neither was there.

    `event` has the same source and event id, `payin` the same source and bank transaction. The event id comes first:
    what it was used for decides. Source: contract section 7.
    """
    if event is not None:
        return (Repeat.SAME_EVENT if event.fingerprint == fingerprint else Repeat.EVENT_CONFLICT), event.webhook_id
    if payin is not None:
        return (Repeat.SAME_PAYIN if payin.fingerprint == fingerprint else Repeat.PAYIN_CONFLICT), payin.webhook_id
    return None
