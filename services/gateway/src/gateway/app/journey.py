"""The journey of an id: every owner's records that carry it or what it leads to, in time order, as one story.

Source: contract section 9.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import structlog

from gateway.domain.records import Moment
from poolkit.errors import DeadlineExceeded, DomainError
from poolkit.rpc.deadlines import deadline, shortened

log = structlog.get_logger(__name__)

ROUNDS_MAX: Final = 3
IDS_MAX: Final = 100
"""The most ids that one question names."""
ANSWER_SECONDS_MAX: Final = 1.5
"""How long one owner may take to answer one question."""

TRUNKS: Final = frozenset({"trade", "quote"})
BRANCHES: Final = frozenset({"event", "webhook", "delivery", "ledger_transaction", "hold", "entry"})
"""Kinds of ids that lead on. Organizations lead everywhere; client references, keys and providers' ids repeat. Whoever
knows a branch of a trade or quote knows it by that trade or quote too, so it is asked for where there is neither."""

_MINTED_REQUEST = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")

T = TypeVar("T")


class AwaitedStep(Protocol):
    """Something that is still to come."""

    @property
    def what(self) -> str:
        """One line for people."""

    @property
    def since_time(self) -> Moment:
        """Since when."""

    @property
    def due_time(self) -> Moment:
        """When it is expected; both zero where nobody knows."""


class JourneyRecord(Protocol):
    """One line of a journey, as its owner tells it."""

    @property
    def service(self) -> str:
        """The owner."""

    @property
    def kind(self) -> str:
        """What kind of row."""

    @property
    def record_id(self) -> str:
        """The row's own id."""

    @property
    def entered_state(self) -> str:
        """Which of the row's states the line tells of; empty where the row has one line."""

    @property
    def ids(self) -> Mapping[str, str]:
        """Ids that lead on, by name."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Facts worth showing, by name."""

    @property
    def traceparent(self) -> str:
        """Of the operation that wrote the row."""

    @property
    def record_time(self) -> Moment:
        """When it happened, by the owner's database clock."""

    @property
    def awaited(self) -> AwaitedStep:
        """What the row waits for; its `what` is empty where it waits for nothing."""


class Found(Protocol):
    """What an owner answers."""

    @property
    def records(self) -> Sequence[JourneyRecord]:
        """Oldest first."""

    @property
    def truncated(self) -> bool:
        """Whether it has more."""


class Owner(Protocol):
    """A service that keeps records."""

    @property
    def service(self) -> str:
        """Its name."""

    async def find_records(self, ids: Sequence[str]) -> Found:
        """Its records that carry any of the ids. Raises Unavailable, DeadlineExceeded."""


@dataclass(frozen=True, slots=True)
class Journey:
    """What was found; without records where nobody who answered knows the id."""

    records: Sequence[JourneyRecord]
    """In time order."""
    missing_services: Sequence[str]
    """Owners that did not answer every question."""
    truncated_services: Sequence[str]
    """Owners that have more records."""
    trace_ids: Sequence[str]
    """In the order they appear, each once."""


@dataclass(slots=True)
class _Search:
    until: float
    records: dict[tuple[str, ...], JourneyRecord] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    truncated: set[str] = field(default_factory=set)


async def find_journey(
    owners: Sequence[Owner], ids: Sequence[str], *, until: float, missing_services: Sequence[str] = ()
) -> Journey:
    """Asks every owner, then for what the answers lead to, at most three times and until that moment, in Unix seconds.

    An owner that does not answer is named, not asked again, and the rest told; so is one that is missing already.
    """
    search = _Search(until, missing=set(missing_services))
    wanted = list(ids)
    for _ in range(ROUNDS_MAX):
        await _ask(owners, wanted, search)
        wanted = _led_to(search)
        if not wanted:
            break
    records = sorted(search.records.values(), key=_moment)
    traces = dict.fromkeys(record.traceparent[3:35] for record in records if len(record.traceparent) == 55)
    return Journey(records, sorted(search.missing), sorted(search.truncated), list(traces))


async def answer_of(question: Callable[[], Awaitable[T]], *, until: float) -> T:
    """What an owner answers within its time, which ends `until` at the latest. Raises DeadlineExceeded, Unavailable."""
    seconds = min(shortened(ANSWER_SECONDS_MAX), max(0.0, until - time.time()))
    try:
        async with asyncio.timeout(seconds):
            with deadline(seconds):
                return await question()
    except TimeoutError as error:
        raise DeadlineExceeded from error


async def _ask(owners: Sequence[Owner], ids: Sequence[str], search: _Search) -> None:
    search.asked.update(ids)
    asked = [owner for owner in owners if owner.service not in search.missing]
    answers = await asyncio.gather(
        *(answer_of(lambda owner=owner: owner.find_records(ids), until=search.until) for owner in asked),  # type: ignore[misc]
        return_exceptions=True,
    )
    for owner, answer in zip(asked, answers, strict=True):
        if isinstance(answer, BaseException):
            if not isinstance(answer, DomainError):
                raise answer
            log.warning("journey_owner_missing", owner=owner.service, reason=answer.code)
            search.missing.add(owner.service)
            continue
        if answer.truncated:
            search.truncated.add(owner.service)
        for record in answer.records:
            search.records[record.service, record.kind, record.record_id, record.entered_state] = record


def _moment(record: JourneyRecord) -> tuple[int, int]:
    return record.record_time.seconds, record.record_time.nanos


def _led_to(search: _Search) -> list[str]:
    """Ids in the records that were not asked for yet, no more than one question names."""
    found = dict.fromkeys(
        value
        for record in search.records.values()
        for name, value in record.ids.items()
        if value and value not in search.asked and (name in TRUNKS or _is_loose_branch(record, name, value))
    )
    return list(found)[:IDS_MAX]


def _is_loose_branch(record: JourneyRecord, name: str, value: str) -> bool:
    if any(record.ids.get(trunk) for trunk in TRUNKS):
        return False
    return name in BRANCHES or (name.endswith("request") and _MINTED_REQUEST.fullmatch(value) is not None)
