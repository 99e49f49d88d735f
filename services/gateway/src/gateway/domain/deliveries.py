"""Outgoing webhooks: which events go out, how an attempt is judged, and when the next one is due.

Source: contract section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from poolkit.errors import TooManyWebhookEndpoints

DELIVERED_TYPES: Final = frozenset({"pool.transaction.settled", "pool.transaction.failed", "pool.transaction.released"})
"""What partners are told of. `returned` is found by polling."""

ENDPOINTS_IN_USE_MAX: Final = 16
"""How many endpoints of one organization are posted to; each is one more delivery of every event."""

FAILING_SECONDS_MAX: Final = 5 * 86_400.0
"""How long an endpoint may do nothing but fail before it is disabled."""

WAITING_SECONDS_MAX: Final = 5 * 86_400.0
"""How long a delivery waits for a disabled endpoint before it is dead, and how long after an endpoint was disabled more
are queued for it: what comes later is found by polling, as it is without an endpoint."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class DisabledReason(StrEnum):
    """Why nothing is posted to an endpoint."""

    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """No attempt succeeded for days."""
    REQUESTED = "requested"
    """A person asked for it."""


def check_room(in_use: int) -> None:
    """Raises TooManyWebhookEndpoints where an organization has no room for one more endpoint beside those in use."""
    if in_use >= ENDPOINTS_IN_USE_MAX:
        raise TooManyWebhookEndpoints(f"It may have {ENDPOINTS_IN_USE_MAX}.")


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """A terminal event as it was received, with the webhook body where partners are told of it."""

    event_id: str
    type: str
    organization_id: str
    trade_id: str
    quote_id: str
    client_reference: str
    request_id: str
    traceparent: str
    occurred_microseconds: int
    """Unix microseconds of the transition, by its owner's clock."""
    body: bytes
    """Empty where nobody is told."""
    source: str
    """Topic, partition and offset, to be found again."""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery whose next attempt is ours to make; the number fences it."""

    delivery_id: str
    endpoint_id: str
    number: int
    event_id: str
    url: str
    encrypted_secrets: tuple[bytes, ...] = field(repr=False)
    """Those in force, newest first."""
    body: bytes = field(repr=False)
    request_id: str
    traceparent: str
    earlier_attempts: int = 0
    """Attempts before the last replay, which began the schedule anew."""
    failing: bool = False
    """Whether the last attempt at the endpoint failed, whoever made it."""


@dataclass(frozen=True, slots=True)
class PostResult:
    """What came of one attempt at the endpoint."""

    status_code: int
    """0 where there was no answer."""
    failure: str
    """Why there was none, such as `timeout`; empty where there was one. Never a part of a payload."""
    duration_ms: int

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint took it: any 2xx."""
        return 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        """Whether the endpoint says that it is no more."""
        return self.status_code == 410


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished attempt, and what it makes of the delivery."""

    delivery_id: str
    endpoint_id: str
    number: int
    result: PostResult
    state: DeliveryState
    retry_seconds: float
    """Until the next attempt; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds to wait before each attempt, the first one's included; the last is repeated until `attempts_max`."""

    delays_seconds: Sequence[float]
    attempts_max: int
    jitter: float
    """The most a wait is lengthened by, as a share of it."""

    def judge(self, delivery: ClaimedDelivery, result: PostResult, chance: float) -> Attempt:
        """What the attempt makes of its delivery. `chance`, 0 to 1, spreads retries of one moment apart."""
        state, retry_seconds = DeliveryState.PENDING, 0.0
        number = delivery.number - delivery.earlier_attempts
        if result.succeeded:
            state = DeliveryState.DELIVERED
        elif number >= self.attempts_max:
            state = DeliveryState.DEAD
        else:
            wait = self.delays_seconds[min(number, len(self.delays_seconds) - 1)]
            retry_seconds = wait * (1 + self.jitter * chance)
        return Attempt(delivery.delivery_id, delivery.endpoint_id, delivery.number, result, state, retry_seconds)
