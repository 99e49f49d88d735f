"""Owns accepting quotes: admit each request once, drive what is new, answer repeats with the first success."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from poolkit.crashpoints import reach
from poolkit.database import Database
from poolkit.errors import DomainError, IdempotencyInProgress
from poolkit.ids import new_id
from trade.app import steps
from trade.app.saga import Saga
from trade.domain.intent import Attempt, Replay, TransactRequest, answer_repeat
from trade.domain.trade import Trade
from trade.store import intents, trades

_ADMISSIONS_MAX: Final = 3
"""How often a request tries again whose rival was declined between two looks."""


class Accepted:
    """A reserved trade as first answered, and whether an earlier request reserved it."""

    __slots__ = ("replayed", "trade")

    def __init__(self, trade: Trade, *, replayed: bool) -> None:
        self.trade = trade
        self.replayed = replayed


Answer = Accepted | DomainError


class TransactQuotes:
    """The use case behind `TradeService.TransactQuotes`. One call is one batch."""

    def __init__(self, database: Database, saga: Saga, mode: str) -> None:
        self._database = database
        self._saga = saga
        self._mode = mode
        self._driving: set[asyncio.Task[list[Answer]]] = set()

    async def __call__(self, requests: Sequence[TransactRequest]) -> list[Answer]:
        """Answers each request in order; the work goes on when a caller stops waiting: it is shielded, and drained."""
        task = asyncio.create_task(self._transact(requests))
        self._driving.add(task)
        task.add_done_callback(self._driving.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Waits for the batches under way; each ends by its own deadline."""
        if self._driving:
            await asyncio.wait(self._driving)

    async def _transact(self, requests: Sequence[TransactRequest]) -> list[Answer]:
        firsts: dict[tuple[str, str, str, str], int] = {}
        repeats: dict[int, int] = {}
        for index, request in enumerate(requests):
            first = firsts.setdefault(request.fingerprint, index)
            if first != index:
                repeats[index] = first
        answers: dict[int, Answer] = {}
        await self._admit({index: requests[index] for index in firsts.values()}, answers)
        for index, first in repeats.items():
            answer = answers[first]
            answers[index] = Accepted(answer.trade, replayed=True) if isinstance(answer, Accepted) else answer
        return [answers[index] for index in range(len(requests))]

    async def _admit(self, waiting: dict[int, TransactRequest], answers: dict[int, Answer]) -> None:
        for _ in range(_ADMISSIONS_MAX):
            attempts = {index: Attempt(new_id("pt", self._mode), request) for index, request in waiting.items()}
            begun = await intents.begin(self._database, list(attempts.values()))
            reach(steps.AFTER_INTENT)
            new = {
                index: replace(attempt, claimed_at=begun[attempt.trade_id])
                for index, attempt in attempts.items()
                if attempt.trade_id in begun
            }
            rest = {index: request for index, request in waiting.items() if index not in new}
            if not rest:
                await self._drive(new, answers)
                return
            # Repeats are answered while the new ones are driven: neither waits for the other.
            _, waiting = await asyncio.gather(self._drive(new, answers), self._answer_repeats(rest, answers))
            if not waiting:
                return
        answers.update((index, IdempotencyInProgress()) for index in waiting)

    async def _drive(self, new: dict[int, Attempt], answers: dict[int, Answer]) -> None:
        if not new:
            return
        outcomes = await self._saga.drive(list(new.values()))
        for index, attempt in new.items():
            outcome = outcomes[attempt.trade_id]
            answers[index] = Accepted(outcome, replayed=False) if isinstance(outcome, Trade) else outcome

    async def _answer_repeats(
        self, repeats: dict[int, TransactRequest], answers: dict[int, Answer]
    ) -> dict[int, TransactRequest]:
        """Answers what is known of earlier requests; gives back the requests that may begin after all."""
        if not repeats:
            return {}
        known = await intents.find_known(self._database, list(repeats.values()))
        again: dict[int, TransactRequest] = {}
        replays: dict[int, Replay] = {}
        for (index, request), (by_key, by_quote) in zip(repeats.items(), known, strict=True):
            answer = answer_repeat(request, by_key=by_key, by_quote=by_quote)
            if answer is None:
                again[index] = request
            elif isinstance(answer, DomainError):
                answers[index] = answer
            elif answer.binds_key and not await self._bind(answer.trade_id, request):
                again[index] = request
            else:
                replays[index] = answer
        if replays:
            found = await trades.find_by_id(self._database, [replay.trade_id for replay in replays.values()])
            for index, replay in replays.items():
                answers[index] = Accepted(found[replay.trade_id].as_reserved(), replayed=True)
        return again

    async def _bind(self, trade_id: str, request: TransactRequest) -> bool:
        return await intents.bind_key(self._database, new_id("pt", self._mode), trade_id, request)
