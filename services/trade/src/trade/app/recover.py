"""Owns recovery: takes over attempts whose driver has been silent, and finishes what was begun."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from poolkit.database import Database
from poolkit.errors import Unavailable, error_for
from trade.app.saga import DRIVE_SECONDS_MAX, Answers, Saga
from trade.domain.intent import IntentState
from trade.store import intents

log = structlog.get_logger(__name__)

_LIMIT: Final = 256


class Recovery:
    """Runs alone, under a lease; a second one would do no harm, since each claim is fenced."""

    def __init__(self, database: Database, saga: Saga, *, claim_seconds: float, interval_seconds: float = 0.5) -> None:
        self._database = database
        self._saga = saga
        self._claim_seconds = claim_seconds
        self._interval_seconds = interval_seconds

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
        """Takes over what is stale and drives it; how many attempts that were."""
        stale = await intents.take_over(self._database, older_than_seconds=self._claim_seconds, limit=_LIMIT)
        running = [attempt for attempt, state, _ in stale if state is IntentState.RUNNING]
        declining = [(attempt, error_for(reason)) for attempt, state, reason in stale if state is IntentState.DECLINING]
        answers: Answers = {}
        if running:
            answers.update(await self._saga.drive(running))
        if declining:
            until = time.monotonic() + DRIVE_SECONDS_MAX
            # How far the driver before came is not known, so both sides are told; neither minds being told twice.
            await self._saga.undo(declining, until, answers, held=[attempt for attempt, _ in declining])
        for attempt, state, _ in stale:
            answer = answers[attempt.trade_id]
            log.info(
                "attempt_recovered",
                trade_id=attempt.trade_id,
                request_id=attempt.request.request_id,
                was=state,
                outcome=getattr(answer, "code", "reserved"),
            )
        return len(stale)
