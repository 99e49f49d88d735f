"""The journey of an id: every owner's records that carry it or what it leads to, in time order, as one story.

Source: contract section 9.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from gateway.domain.records import Moment
from poolkit.errors import DomainError, NotFound

log = structlog.get_logger(__name__)

ROUNDS_MAX: Final = 3
IDS_MAX: Final = 100
"""The most ids that one question names."""

LEADING: Final = frozenset(
    {"trade", "quote", "event", "webhook", "delivery", "ledger_transaction", "hold", "entry", "provider_event"}
)
"""Kinds of ids that lead on. Organizations lead everywhere; client references and keys are partners', and repeat."""

_MINTED_REQUEST = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")


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


class Owner(Protocol):
    """A service that keeps records."""

    @property
    def service(self) -> str:
        """Its name."""

    async def find_records(self, ids: Sequence[str]) -> Sequence[JourneyRecord]:
        """Its records that carry any of the ids. Raises Unavailable, DeadlineExceeded."""


@dataclass(frozen=True, slots=True)
class Journey:
    """What was found."""

    records: Sequence[JourneyRecord]
    """In time order."""
    missing_services: Sequence[str]
    """Owners that did not answer every question."""
    trace_ids: Sequence[str]
    """In the order they appear, each once."""


@dataclass(slots=True)
class _Search:
    records: dict[tuple[str, str, str], JourneyRecord] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)


async def find_journey(owners: Sequence[Owner], id: str) -> Journey:  # noqa: A002 - the contract's own name
    """Asks every owner, then for what the answers lead to, at most three times. Raises NotFound.

    An owner that does not answer is named and the rest told; only when all have answered is an id unknown.
    """
    search = _Search()
    wanted = [id]
    for _ in range(ROUNDS_MAX):
        await _ask(owners, wanted, search)
        wanted = _led_to(search)
        if not wanted:
            break
    if not search.records and not search.missing:
        raise NotFound("journey")
    records = sorted(search.records.values(), key=_moment)
    traces = dict.fromkeys(record.traceparent[3:35] for record in records if len(record.traceparent) == 55)
    return Journey(records, sorted(search.missing), list(traces))


async def _ask(owners: Sequence[Owner], ids: Sequence[str], search: _Search) -> None:
    search.asked.update(ids)
    answers = await asyncio.gather(*(owner.find_records(ids) for owner in owners), return_exceptions=True)
    for owner, answer in zip(owners, answers, strict=True):
        if isinstance(answer, BaseException):
            if not isinstance(answer, DomainError):
                raise answer
            log.warning("journey_owner_missing", owner=owner.service, reason=answer.code)
            search.missing.add(owner.service)
            continue
        for record in answer:
            search.records[record.service, record.kind, record.record_id] = record


def _moment(record: JourneyRecord) -> tuple[int, int]:
    return record.record_time.seconds, record.record_time.nanos


def _led_to(search: _Search) -> list[str]:
    """Ids in the records that were not asked for yet, no more than one question names."""
    found = dict.fromkeys(
        value
        for record in search.records.values()
        for name, value in record.ids.items()
        if value and value not in search.asked and _leads_on(name, value)
    )
    return list(found)[:IDS_MAX]


def _leads_on(name: str, value: str) -> bool:
    return name in LEADING or (name.endswith("request") and _MINTED_REQUEST.fullmatch(value) is not None)
