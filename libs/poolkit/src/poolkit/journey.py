"""Owns the shape of one thing that happened, as every service tells support of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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
