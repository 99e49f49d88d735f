"""Owns the shape of one thing that happened, as every service tells support of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a row still waits for."""

    what: str
    """One line for people: `a settlement report`."""
    since: datetime
    due: datetime | None = None
    """When it is expected or tried next; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class JourneyRow:
    """One thing that happened, ready to be told. Empty ids and facts mean nothing and are left out when told."""

    recorded_at: datetime
    kind: str
    record_id: str
    summary: str
    traceparent: str
    ids: Mapping[str, str]
    facts: Mapping[str, str]
    entered_state: str = ""
    """Where a row is told by one line for each state it was in, so that none hides another."""
    awaited: Awaited | None = None


@dataclass(frozen=True, slots=True)
class JourneyHead:
    """A journey among several: every one begins with a firm quote."""

    quote_id: str
    organization_id: str
    trade_id: str
    """Empty before a trade consumed the quote, or where another owner knows."""
