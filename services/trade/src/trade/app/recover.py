"""Owns recovery: takes over attempts whose driver has been silent, and finishes what was begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from poolkit.database import Database
from poolkit.errors import DeadlineExceeded, Unavailable, error_for
from poolkit.logs import of_request
from trade.app.saga import DRIVE_SECONDS_MAX, Answers, Saga
from trade.domain.intent import Attempt, IntentState
from trade.store import intents

log = structlog.get_logger(__name__)

_LIMIT: Final = 256

Stale = tuple[Attempt, IntentState, str]
"""An attempt taken over, its state, and why it declines if it does."""


class Recovery:
    """Runs alone, under a lease; a second one would do no harm, since each claim is fenced."""

    def __init__(self, database: Database, saga: Saga, *, claim_seconds: float, interval_seconds: float = 0.5) -> None:
        self._database = database
        self._saga = saga
        self._claim_seconds = claim_seconds
        self._interval_seconds = interval_seconds
        self._undecided: set[str] = set()

    async def run(self) -> None:
        """Recovers for ever; a database out of reach is waited for."""
        while True:
            try:
                recovered = await self.recover()
            except Unavailable:
                recovered = 0
            if not recovered:
                await asyncio.sleep(self._interval_seconds)

    async def recover(self) -> int:
        """Takes over what is stale and drives it; how many attempts that were.

        An attempt that stays undecided beside others is driven alone the next time round, so that one which its
        colleagues cannot answer holds up no other.
        """
        stale = await intents.take_over(self._database, older_than_seconds=self._claim_seconds, limit=_LIMIT)
        undecided: set[str] = set()
        for group in self._groups(stale):
            answers = await self._drive(group)
            for attempt, state, _ in group:
                answer = answers[attempt.trade_id]
                if isinstance(answer, (Unavailable, DeadlineExceeded)):
                    undecided.add(attempt.trade_id)
                log.info(
                    "attempt_recovered",
                    trade_id=attempt.trade_id,
                    was=state,
                    outcome=getattr(answer, "code", "reserved"),
                    **of_request(attempt.request.request_id, attempt.request.traceparent),
                )
        self._undecided = undecided
        return len(stale)

    def _groups(self, stale: Sequence[Stale]) -> list[list[Stale]]:
        fresh = [one for one in stale if one[0].trade_id not in self._undecided]
        alone = [[one] for one in stale if one[0].trade_id in self._undecided]
        return [*([fresh] if fresh else []), *alone]

    async def _drive(self, group: Sequence[Stale]) -> Answers:
        running = [attempt for attempt, state, _ in group if state is IntentState.RUNNING]
        declining = [(attempt, error_for(reason)) for attempt, state, reason in group if state is IntentState.DECLINING]
        answers: Answers = {}
        if running:
            answers.update(await self._saga.drive(running))
        if declining:
            until = time.monotonic() + DRIVE_SECONDS_MAX
            # How far the driver before came is not known, so both sides are told; neither minds being told twice.
            undoing = [attempt for attempt, _ in declining]
            await self._saga.undo(declining, until, answers, consumed=undoing, held=undoing)
        return answers
