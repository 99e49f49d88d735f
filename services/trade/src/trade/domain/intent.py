"""Owns the intent: a request to accept a quote on its way to a trade, and what a repeat of it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from poolkit.errors import DomainError, IdempotencyConflict, IdempotencyInProgress
from trade.domain.trade import Hold, Status, Terms, Trade


class IntentState(StrEnum):
    """Where an intent stands. `running` and `declining` have a driver; the others are final."""

    RUNNING = "running"
    RESERVED = "reserved"
    DECLINING = "declining"
    DECLINED = "declined"
    ALIAS = "alias"
    """Not an intent of its own: another key that asked for a reserved quote again, and is bound to its trade."""


@dataclass(frozen=True, slots=True)
class TransactRequest:
    """One item to transact, with what the gateway admitted it under."""

    organization_id: str
    request_id: str
    traceparent: str
    idempotency_key: str
    quote_id: str
    pool_id: str
    balance_gate_enabled: bool = True
    off_ramp_enabled: bool = False
    notional_caps: Mapping[str, str] = field(default_factory=dict)
    """Rolling 24 h caps by fiat currency, decimal strings."""
    expected_hold: Hold | None = None
    """What the caller says the quote will hold; only the quote's terms decide. Not stored."""

    @property
    def fingerprint(self) -> tuple[str, str, str, str]:
        """Equal for repeats of the same request, over either edge."""
        return (self.organization_id, self.idempotency_key, self.quote_id, self.pool_id)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An intent with the claim under which it is driven."""

    trade_id: str
    request: TransactRequest
    claimed_at: datetime | None = None
    """By the database's clock; None until the intent is stored. A trade is created at the moment it was claimed."""
    fencing: int = 1
    """Grows with each driver; a driver whose number is old can change nothing."""
    resumed: bool = False
    """Driven by recovery, which finishes what was begun and begins no consumption."""


@dataclass(frozen=True, slots=True)
class KnownIntent:
    """What is stored about an earlier request with the same key or the same quote."""

    trade_id: str
    """Of an alias: the trade it is bound to."""
    idempotency_key: str
    quote_id: str
    pool_id: str
    state: IntentState

    @property
    def in_progress(self) -> bool:
        """Whether its answer is not known yet."""
        return self.state in (IntentState.RUNNING, IntentState.DECLINING)


@dataclass(frozen=True, slots=True)
class Replay:
    """The request was answered before: answer the trade again, and bind the key if it is new."""

    trade_id: str
    binds_key: bool


def answer_repeat(
    request: TransactRequest, *, by_key: KnownIntent | None, by_quote: KnownIntent | None
) -> Replay | DomainError | None:
    """What a request is told whose key or quote is known; None when neither is, so that it may begin.

    `by_quote` is of the path the request names: under another pool's path it is a request of its own, which the quote
    service refuses. In this precedence: idempotency_in_progress, idempotency_conflict, the replay.
    Source: contract section 5.
    """
    if (by_key and by_key.in_progress) or (by_quote and by_quote.in_progress):
        return IdempotencyInProgress()
    if by_key is not None:
        if (by_key.quote_id, by_key.pool_id) != (request.quote_id, request.pool_id):
            return IdempotencyConflict()
        return Replay(by_key.trade_id, binds_key=False)
    if by_quote is not None:
        return Replay(by_quote.trade_id, binds_key=True)
    return None


def reserved_trade(attempt: Attempt, terms: Terms) -> Trade:
    """The trade that an attempt becomes with the quote's terms; it is as old as the attempt's claim."""
    request = attempt.request
    if attempt.claimed_at is None:
        raise ValueError("an attempt is driven only once it is stored")
    return Trade(
        trade_id=attempt.trade_id,
        organization_id=request.organization_id,
        quote_id=request.quote_id,
        pool_id=request.pool_id,
        terms=terms,
        status=Status.RESERVED,
        request_id=request.request_id,
        created_at=attempt.claimed_at,
        updated_at=attempt.claimed_at,
    )
