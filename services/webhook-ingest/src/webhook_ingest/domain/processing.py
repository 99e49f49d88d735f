"""Owns what follows from a try to process a webhook: done, again later, or an exception of the close."""

from dataclasses import dataclass
from typing import Final

from poolkit.errors import DeadlineExceeded, DomainError, Internal, NotFound, Overloaded, Unavailable

UNALLOCATED: Final = "unallocated"
"""The organization that holds pay-ins whose reference nobody knows, until a person allocates them."""

PROCESSED: Final = "processed"
RETRY: Final = "retry"
EXCEPTION: Final = "exception"


@dataclass(frozen=True, slots=True)
class Ending:
    """How one try ended."""

    outcome: str
    """`processed`, `retry` or `exception`."""
    effect: str = ""
    """What is in place now: `applied`, `repeated`, `early`, `credited`; empty when nothing is."""
    detail: str = ""
    """Why, in one sentence; empty when processed."""
    organization_id: str = ""
    request_id: str = ""
    """The request that reserved the trade, once known."""
    refused: bool = False
    """Whether a colleague answered, and not with yes. Such tries end in an exception in time; silence never does."""
    counted: bool = False
    """Whether so many of them are enough: nobody knows the trade. What nobody understands has to be mended first, so
    that it is tried for as long as a no may last."""


@dataclass(frozen=True, slots=True)
class Retries:
    """When to try again, and when to stop: whichever of counted attempts and age comes first."""

    seconds_min: float
    seconds_max: float
    refusals_max: int
    age_seconds_max: float

    def delay_seconds(self, attempt_number: int) -> float:
        """How long to wait after this attempt, from 1: doubling, at most `seconds_max`."""
        return min(self.seconds_max, self.seconds_min * 2.0 ** min(attempt_number - 1, 40))


def is_silence(error: BaseException) -> bool:
    """Whether a colleague was out of reach or out of time, which says nothing about the webhook."""
    return isinstance(error, Unavailable | DeadlineExceeded | Overloaded)


def ending_for(error: DomainError) -> Ending:
    """What one item's refusal means. Only a refusal that can change, or that nobody understands, is tried again."""
    if is_silence(error):
        return Ending(RETRY, detail=error.message)
    if isinstance(error, NotFound | Internal):
        return Ending(RETRY, detail=error.message, refused=True, counted=isinstance(error, NotFound))
    return Ending(EXCEPTION, detail=error.message)


def ending_for_owner(owner: str | DomainError) -> Ending:
    """What the ledger's answer about a funding reference means for its pay-in.

    Only NotFound says that nobody knows the reference; whatever else it says, it is asked again.
    """
    if isinstance(owner, NotFound):
        owner = UNALLOCATED
    if isinstance(owner, DomainError):
        return Ending(RETRY, detail=owner.message, refused=True)
    return Ending(PROCESSED, effect="credited", organization_id=owner)
