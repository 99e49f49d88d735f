"""Owns storing webhooks, once each: what is new, what is there already, and what contradicts what is there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from poolkit.crashpoints import reach
from poolkit.database import Database
from poolkit.errors import DomainError, EventConflict, PayinConflict, Unavailable
from poolkit.logs import of_request
from webhook_ingest.app import steps
from webhook_ingest.app.lanes import Lane
from webhook_ingest.domain.repeats import Repeat, judge
from webhook_ingest.store import unprocessed, webhooks
from webhook_ingest.store.webhooks import Echo, Incoming, StoredWebhook


class Receipt(NamedTuple):
    """What the sender is told: its webhook is durable."""

    webhook_id: str
    """Of the webhook that has the effect; for a duplicate the earlier one's."""
    duplicate: bool


log = structlog.get_logger("webhook_ingest.receive")

_CONFLICTS: Final[dict[Repeat, type[DomainError]]] = {
    Repeat.EVENT_CONFLICT: EventConflict,
    Repeat.PAYIN_CONFLICT: PayinConflict,
}


class ReceiveWebhooks:
    """Stores a batch of verified webhooks and hands what is new to its lane. Safe to repeat, as it must be.

    New ones take one statement; only what collides costs a second look. Each item fails alone: EventConflict,
    PayinConflict. A repeat of what was given up has it tried again: its sender says once more what has no effect yet.
    """

    def __init__(self, database: Database, lanes: Sequence[Lane], claim_seconds: float) -> None:
        self._database = database
        self._lanes = {lane.name: lane for lane in lanes}
        self._claim_seconds = claim_seconds

    async def __call__(self, batch: Sequence[Incoming]) -> list[Receipt | Exception]:
        """Answers in the order of the batch; everything is durable when it returns."""
        # Sorted, so that two replicas that store the same events wait for each other in one direction only.
        ordered = sorted(batch, key=_event_key)
        claims = self._claims(ordered)
        received = await webhooks.store(self._database, ordered, claims, self._claim_seconds)
        reach(steps.AFTER_STORE)
        self._hand_over(batch, received, {item.webhook_id for item, mine in zip(ordered, claims, strict=True) if mine})
        answers: dict[str, Receipt | Exception] = {
            webhook_id: Receipt(webhook_id, duplicate=False) for webhook_id in received
        }
        repeats = [item for item in ordered if item.webhook_id not in received]
        if repeats:
            answers |= await self._answer_repeats(repeats)
        return [answers[item.webhook_id] for item in batch]

    def _claims(self, batch: Sequence[Incoming]) -> list[bool]:
        """Which of them this process will try at once; the others wait in the database until a lane has room."""
        room = {name: lane.room for name, lane in self._lanes.items()}
        claims = []
        for item in batch:
            room[item.lane] -= 1
            claims.append(room[item.lane] >= 0)
        return claims

    def _hand_over(self, batch: Sequence[Incoming], received: Mapping[str, datetime], claimed: set[str]) -> None:
        # In the order they came: settled before returned, where a provider kept that order.
        for item in batch:
            if item.webhook_id in received and item.webhook_id in claimed:
                self._lanes[item.lane].offer(_stored(item, received[item.webhook_id]))

    async def _answer_repeats(self, batch: Sequence[Incoming]) -> dict[str, Receipt | Exception]:
        answers: dict[str, Receipt | Exception] = {}
        echoes: list[Echo] = []
        repeated: dict[str, Incoming] = {}
        # A second statement sees what the first collided with: those rows are committed, and never deleted.
        collisions = await webhooks.find_collisions(self._database, batch)
        for item, collision in zip(batch, collisions, strict=True):
            judged = judge(item.fingerprint, event=collision.event, payin=collision.payin)
            if judged is None:
                answers[item.webhook_id] = Unavailable()
                continue
            repeat, first_webhook_id = judged
            conflict = _CONFLICTS.get(repeat)
            answers[item.webhook_id] = conflict() if conflict else Receipt(first_webhook_id, duplicate=True)
            if conflict is None:
                repeated[first_webhook_id] = item
            if repeat is not Repeat.SAME_EVENT:
                echoes.append(Echo(item, first_webhook_id, conflict.reason.code if conflict else ""))
        if echoes:
            await webhooks.store_echoes(self._database, echoes)
        if repeated:
            for webhook_id in await unprocessed.take_up_again(self._database, list(repeated)):
                named = of_request(repeated[webhook_id].request_id, repeated[webhook_id].traceparent)
                log.info("webhook_taken_up_again", webhook_id=webhook_id, **named)
        return answers


def _event_key(item: Incoming) -> tuple[str, str]:
    return item.event.event_id, item.source


def _stored(item: Incoming, received_at: datetime) -> StoredWebhook:
    return StoredWebhook(
        webhook_id=item.webhook_id,
        source=item.source,
        event=item.event,
        request_id=item.request_id,
        traceparent=item.traceparent,
        received_at=received_at,
        attempt_number=1,
    )
