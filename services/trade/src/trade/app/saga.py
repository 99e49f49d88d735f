"""Owns the saga: consume the quote, hold the money, write the trade, or undo all of it.

Where the caller said what the quote will hold, quote and ledger are asked at the same time; the quote's terms decide.

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
    InvalidRequest,
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
from trade.domain.trade import Hold, Terms, Trade
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
_Consumed = tuple[Attempt, Terms]
_Refused = tuple[Attempt, DomainError]
_Placed = dict[str, DomainError | None]
"""What the ledger said to each hold it was asked for, by trade id; None where it is placed."""


@dataclass(frozen=True, slots=True)
class _Decline:
    """An attempt to undo, why, and how far it may have come."""

    attempt: Attempt
    error: DomainError
    consumed: bool
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
        expected = [(attempt, attempt.request.expected_hold) for attempt in attempts if attempt.request.expected_hold]
        placing = asyncio.create_task(self._place(expected, until))
        consumed, refused = await self._consume(attempts, until, answers)
        reach(steps.AFTER_CONSUME)
        held, declined = await self._hold(consumed, placing, until, answers)
        reach(steps.AFTER_HOLD)
        if held:
            declined += await self._reserve(held, answers)
            reach(steps.AFTER_RESERVE)
        if refused:
            declined += await self._refuse(refused, await placing, answers)
        if declined:
            await self._decline(declined, until, answers)
        return answers

    async def _consume(
        self, attempts: Sequence[Attempt], until: float, answers: Answers
    ) -> tuple[list[_Consumed], list[_Refused]]:
        results = await _ask(lambda seconds: self._quotes.consume(attempts, seconds), until)
        if isinstance(results, DomainError):
            answers.update((attempt.trade_id, results) for attempt in attempts)
            return [], []
        consumed: list[_Consumed] = []
        refused: list[_Refused] = []
        for attempt, result in zip(attempts, results, strict=True):
            if isinstance(result, Terms):
                consumed.append((attempt, result))
            elif isinstance(result, _FINAL):
                refused.append((attempt, result))
            else:
                answers[attempt.trade_id] = _unknown(result)
        return consumed, refused

    async def _hold(
        self, consumed: Sequence[_Consumed], placing: asyncio.Task[_Placed], until: float, answers: Answers
    ) -> tuple[list[Draft], list[_Decline]]:
        wanting = [
            (attempt, terms.hold) for attempt, terms in consumed if terms.hold and not attempt.request.expected_hold
        ]
        later = asyncio.create_task(self._place(wanting, until)) if wanting else placing
        for _ in range(_TURNS_TO_LEAVE if wanting else 0):
            await asyncio.sleep(0)
        # While the ledger thinks, what its yes will write is made ready.
        drafts = [self._draft(attempt, terms) for attempt, terms in consumed]
        placed = {**await placing, **await later}
        held: list[Draft] = []
        declined: list[_Decline] = []
        for (attempt, terms), draft in zip(consumed, drafts, strict=True):
            result = placed.get(attempt.trade_id)
            if attempt.request.expected_hold not in (None, terms.hold):
                declined.append(_Decline(attempt, _unexpected(), consumed=True, held=True))
            elif result is None:
                held.append(draft)
            elif isinstance(result, _FINAL):
                declined.append(_Decline(attempt, result, consumed=True, held=False))
            else:
                answers[attempt.trade_id] = _unknown(result)
        return held, declined

    async def _place(self, wanting: Sequence[tuple[Attempt, Hold]], until: float) -> _Placed:
        if not wanting:
            return {}
        results = await _ask(lambda seconds: self._holds.place(wanting, seconds), until)
        if isinstance(results, DomainError):
            return {attempt.trade_id: results for attempt, _ in wanting}
        return {attempt.trade_id: result for (attempt, _), result in zip(wanting, results, strict=True)}

    async def _refuse(self, refused: Sequence[_Refused], placed: _Placed, answers: Answers) -> list[_Decline]:
        """Ends the refused attempts that hold nothing; answers those that may hold money, which is to be undone."""
        declined: list[_Decline] = []
        ending: list[_Refused] = []
        for attempt, error in refused:
            # What the driver before a resumed attempt had asked of the ledger is not known.
            if attempt.resumed or not isinstance(placed.get(attempt.trade_id, error), _FINAL):
                declined.append(_Decline(attempt, error, consumed=False, held=True))
            else:
                ending.append((attempt, error))
        if ending:
            # Quote and ledger stored their refusals under the trade id: nothing was taken, so nothing is to undo.
            await self._finish_declined(ending, IntentState.RUNNING, answers)
        return declined

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
        return [_Decline(attempt, error, consumed=True, held=True) for attempt, error in written.refused]

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
            consumed=[decline.attempt for decline in ours if decline.consumed],
            held=[decline.attempt for decline in ours if decline.held],
        )

    async def undo(
        self,
        declining: Sequence[_Refused],
        until: float,
        answers: Answers,
        *,
        consumed: Sequence[Attempt],
        held: Sequence[Attempt],
    ) -> None:
        """Gives back what declining attempts hold and ends them; unconfirmed ones answer `unavailable`."""
        if not declining:
            return
        outcome: DomainError | None = None
        if consumed:
            outcome = await _ask(lambda seconds: self._quotes.give_back(consumed, seconds), until)
        reach(steps.AFTER_GIVE_BACK)
        if not isinstance(outcome, DomainError) and held:
            outcome = await _ask(lambda seconds: self._holds.void(held, seconds), until)
        reach(steps.AFTER_VOID)
        if isinstance(outcome, DomainError):
            answers.update((attempt.trade_id, outcome) for attempt, _ in declining)
            return
        await self._finish_declined(declining, IntentState.DECLINING, answers)
        reach(steps.AFTER_DECLINED)

    async def _finish_declined(self, refused: Sequence[_Refused], was: IntentState, answers: Answers) -> None:
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


def _unexpected() -> InvalidRequest:
    return InvalidRequest(
        "the quote holds something else; leave it out, or send the quote's own.", field="expected_hold"
    )
