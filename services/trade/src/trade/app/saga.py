"""Owns the saga: consume the quote, hold the money, write the trade, or undo all of it.

Every step may be repeated with the same trade id, and a decision is always taken, by compare and swap under the
attempt's fencing number, before it is acted on. So a driver may die between any two steps, and a second driver may run
beside it: whoever comes first decides, nothing is done twice, and nothing is undone that was not decided.
Source: architecture section 4.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from poolkit.crashpoints import reach
from poolkit.database import Database
from poolkit.errors import (
    AttemptUndone,
    DeadlineExceeded,
    DomainError,
    IdempotencyInProgress,
    InsufficientBalance,
    NotFound,
    OffRampNotEnabled,
    QuoteConsumed,
    QuoteExpired,
    QuoteRejected,
    Unavailable,
)
from poolkit.relay import Relay
from trade.app import steps
from trade.app.drafts import Draft, write_drafts
from trade.app.ports import Events, Holds, Quotes
from trade.domain.intent import Attempt, IntentState, reserved_trade
from trade.domain.trade import Terms, Trade
from trade.store import intents

T = TypeVar("T")

log = structlog.get_logger(__name__)

DRIVE_SECONDS_MAX: Final = 5.0
"""How long one driver works on its attempts; recovery takes over what it leaves."""
_RETRY_SECONDS: Final = 0.05
_TURNS_TO_LEAVE: Final = 2
"""Turns of the loop in which a question is written, and sent."""
_FINAL: Final = (
    NotFound,
    QuoteConsumed,
    QuoteExpired,
    QuoteRejected,
    OffRampNotEnabled,
    InsufficientBalance,
    AttemptUndone,
)
"""Refusals that the callee stored. Anything else says nothing about what happened, so it decides nothing."""

Answers = dict[str, Trade | DomainError]


@dataclass(frozen=True, slots=True)
class _Decline:
    """An attempt to undo, why, and how far it may have come."""

    attempt: Attempt
    error: DomainError
    held: bool


class Saga:
    """Drives attempts from `running` to `reserved` or `declined`."""

    def __init__(
        self,
        database: Database,
        relay: Relay,
        quotes: Quotes,
        holds: Holds,
        events: Events,
        *,
        drive_seconds_max: float = DRIVE_SECONDS_MAX,
    ) -> None:
        self._drive_seconds_max = drive_seconds_max
        self._database = database
        self._relay = relay
        self._quotes = quotes
        self._holds = holds
        self._events = events

    async def drive(self, attempts: Sequence[Attempt]) -> Answers:
        """Takes running attempts as far as they go; the trade, the refusal, or `unavailable` where nobody knows yet."""
        until = time.monotonic() + self._drive_seconds_max
        answers: Answers = {}
        consumed = await self._consume(attempts, until, answers)
        reach(steps.AFTER_CONSUME)
        held, declined = await self._hold(consumed, until, answers)
        reach(steps.AFTER_HOLD)
        if held:
            declined += await self._reserve(held, answers)
            reach(steps.AFTER_RESERVE)
        if declined:
            await self._decline(declined, until, answers)
        return answers

    async def _consume(
        self, attempts: Sequence[Attempt], until: float, answers: Answers
    ) -> list[tuple[Attempt, Terms]]:
        results = await _ask(lambda seconds: self._quotes.consume(attempts, seconds), until)
        if isinstance(results, DomainError):
            answers.update((attempt.trade_id, results) for attempt in attempts)
            return []
        consumed: list[tuple[Attempt, Terms]] = []
        refused: list[tuple[Attempt, DomainError]] = []
        for attempt, result in zip(attempts, results, strict=True):
            if isinstance(result, Terms):
                consumed.append((attempt, result))
            elif isinstance(result, _FINAL):
                refused.append((attempt, result))
            else:
                answers[attempt.trade_id] = _unknown(result)
        if refused:
            # The quote service stored the refusal under the trade id: nothing was taken, so nothing is to undo.
            await self._finish_declined(refused, IntentState.RUNNING, answers)
        return consumed

    async def _hold(
        self, consumed: Sequence[tuple[Attempt, Terms]], until: float, answers: Answers
    ) -> tuple[list[Draft], list[_Decline]]:
        wanting = [pair for pair in consumed if pair[1].hold_currency]
        asking = asyncio.create_task(self._place(wanting, until))
        for _ in range(_TURNS_TO_LEAVE):
            await asyncio.sleep(0)
        # While the ledger thinks, what its yes will write is made ready.
        drafts = {attempt.trade_id: self._draft(attempt, terms) for attempt, terms in consumed}
        results = await asking
        held = [drafts[attempt.trade_id] for attempt, terms in consumed if not terms.hold_currency]
        declined: list[_Decline] = []
        if isinstance(results, DomainError):
            answers.update((attempt.trade_id, results) for attempt, _ in wanting)
            return held, declined
        for (attempt, _), result in zip(wanting, results, strict=True):
            if result is None:
                held.append(drafts[attempt.trade_id])
            elif isinstance(result, _FINAL):
                declined.append(_Decline(attempt, result, held=False))
            else:
                answers[attempt.trade_id] = _unknown(result)
        return held, declined

    async def _place(
        self, wanting: Sequence[tuple[Attempt, Terms]], until: float
    ) -> Sequence[DomainError | None] | DomainError:
        return await _ask(lambda seconds: self._holds.place(wanting, seconds), until) if wanting else ()

    def _draft(self, attempt: Attempt, terms: Terms) -> Draft:
        trade = reserved_trade(attempt, terms)
        return Draft(attempt, trade, self._events.reserved(trade, attempt.request.traceparent))

    async def _reserve(self, held: Sequence[Draft], answers: Answers) -> list[_Decline]:
        """Writes the trades in one transaction; answers the attempts that cannot be, such as those over a cap."""
        try:
            written = await write_drafts(self._database, self._relay, self._events, held)
        except DomainError as error:
            answers.update((draft.attempt.trade_id, _unknown(error)) for draft in held)
            return []
        answers.update((trade.trade_id, trade) for trade in written.trades)
        answers.update((attempt.trade_id, IdempotencyInProgress()) for attempt in written.overtaken)
        return [_Decline(attempt, error, held=True) for attempt, error in written.refused]

    async def _decline(self, declines: Sequence[_Decline], until: float, answers: Answers) -> None:
        """Decides to undo, undoes, and tells; where the undoing is not confirmed the intent stays `declining`."""
        try:
            swapped = await intents.mark_declining(
                self._database, [decline.attempt for decline in declines], [decline.error.code for decline in declines]
            )
        except DomainError as error:
            answers.update((decline.attempt.trade_id, _unknown(error)) for decline in declines)
            return
        reach(steps.AFTER_DECLINING)
        ours = []
        for decline in declines:
            if decline.attempt.trade_id in swapped:
                ours.append(decline)
            else:
                answers[decline.attempt.trade_id] = IdempotencyInProgress()
        await self.undo(
            [(decline.attempt, decline.error) for decline in ours],
            until,
            answers,
            held=[decline.attempt for decline in ours if decline.held],
        )

    async def undo(
        self,
        declining: Sequence[tuple[Attempt, DomainError]],
        until: float,
        answers: Answers,
        *,
        held: Sequence[Attempt],
    ) -> None:
        """Gives back what declining attempts hold and ends them; unconfirmed ones answer `unavailable`."""
        if not declining:
            return
        attempts = [attempt for attempt, _ in declining]
        outcome = await _ask(lambda seconds: self._quotes.give_back(attempts, seconds), until)
        reach(steps.AFTER_GIVE_BACK)
        if not isinstance(outcome, DomainError) and held:
            outcome = await _ask(lambda seconds: self._holds.void(held, seconds), until)
        reach(steps.AFTER_VOID)
        if isinstance(outcome, DomainError):
            answers.update((attempt.trade_id, outcome) for attempt in attempts)
            return
        await self._finish_declined(declining, IntentState.DECLINING, answers)
        reach(steps.AFTER_DECLINED)

    async def _finish_declined(
        self, refused: Sequence[tuple[Attempt, DomainError]], was: IntentState, answers: Answers
    ) -> None:
        try:
            finished = await intents.mark_declined(
                self._database, [attempt for attempt, _ in refused], [error.code for _, error in refused], was=was
            )
        except DomainError as failure:
            answers.update((attempt.trade_id, _unknown(failure)) for attempt, _ in refused)
            return
        for attempt, error in refused:
            final = attempt.trade_id in finished and not isinstance(error, (AttemptUndone, QuoteConsumed))
            answers[attempt.trade_id] = error if final else IdempotencyInProgress()


async def _ask(call: Callable[[float], Awaitable[T]], until: float) -> T | DomainError:
    """Asks until there is an answer or the time is up; a timeout means unknown, so the same question is asked again."""
    while True:
        seconds = until - time.monotonic()
        if seconds <= 0:
            return DeadlineExceeded()
        try:
            return await call(seconds)
        except (Unavailable, DeadlineExceeded) as error:
            log.warning("asking_again", reason=error.code)
            await asyncio.sleep(_RETRY_SECONDS)
        except DomainError as error:
            return _unknown(error)


def _unknown(error: DomainError) -> DomainError:
    return error if isinstance(error, (Unavailable, DeadlineExceeded)) else Unavailable()
