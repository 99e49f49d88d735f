"""Owns the rolling notional cap: which of several trades fit below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trade about to be reserved, with the cap its organization was admitted under (None means no cap)."""

    organization_id: str
    currency: str
    amount: Decimal
    cap: Decimal | None


def exceeding(candidates: Sequence[Candidate], *, used: Mapping[tuple[str, str], Decimal]) -> list[bool]:
    """Tells, in order, which candidates would exceed their cap; a candidate that fits counts for those after it.

    `used` is what was traded in the last 24 hours, by organization and currency. Reaching the cap exactly is allowed.
    """
    running = dict(used)
    verdicts: list[bool] = []
    for candidate in candidates:
        key = (candidate.organization_id, candidate.currency)
        total = running.get(key, Decimal(0)) + candidate.amount
        over = candidate.cap is not None and total > candidate.cap
        if not over:
            running[key] = total
        verdicts.append(over)
    return verdicts
