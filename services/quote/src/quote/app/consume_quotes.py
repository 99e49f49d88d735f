"""The use case of consuming quotes for trades: the first answer to a trade id is stored, and given again to repeats."""

from collections.abc import Collection, Sequence
from typing import Final

from poolkit import crashpoints
from poolkit.database import Database
from poolkit.errors import AttemptUndone, DomainError, InvalidRequest, Unavailable, error_for
from quote.app.contention import TRIES_MAX, when_contended_again
from quote.app.measures import CONSUMPTIONS
from quote.domain.quotes import Outcome, Quote, refuse_consumption
from quote.store import consumptions
from quote.store.consumptions import Attempt, Explanation

Answer = Quote | DomainError

AFTER_CONSUMING: Final = crashpoints.declare(
    "quote.consumed", "The quotes are consumed, and the caller does not know it."
)


async def consume_quotes(database: Database, attempts: Sequence[Attempt]) -> list[Answer]:
    """Consumes each quote for its trade id, in order; each attempt fails alone. Safe to repeat.

    One statement, which is one transaction, where every quote can be had. What it leaves is explained and answered by
    two more; they need no lock, because a quote that is gone, expired or rejected stays so, and an answer that is
    stored meanwhile is met at the primary key of the trade id and read in the next round.
    """
    answers: dict[str, Answer] = {}
    first: dict[str, Attempt] = {}
    for attempt in attempts:
        first.setdefault(attempt.trade_id, attempt)
    waiting = list(first.values())
    for _ in range(TRIES_MAX):
        if not waiting:
            break
        answers |= await _consume(database, waiting)
        waiting = [attempt for attempt in waiting if attempt.trade_id not in answers]
    crashpoints.reach(AFTER_CONSUMING)
    return [_answer(attempt, first[attempt.trade_id], answers) for attempt in attempts]


async def _consume(database: Database, attempts: Sequence[Attempt]) -> dict[str, Answer]:
    """One round; leaves out attempts whose quote changed hands in the middle of it."""
    # One attempt a quote; another one for the same quote is explained by the first.
    begun = {attempt.quote_id: attempt for attempt in reversed(attempts) if not attempt.resume_only}
    taken = await when_contended_again(lambda: consumptions.consume(database, list(begun.values()))) if begun else {}
    if taken:
        CONSUMPTIONS.labels("consumed").inc(len(taken))
    answers: dict[str, Answer] = dict(taken)
    rest = [attempt for attempt in attempts if attempt.trade_id not in answers]
    if rest:
        answers |= await _explain(database, rest)
    return answers


async def _explain(database: Database, attempts: Sequence[Attempt]) -> dict[str, Answer]:
    explanations = await consumptions.explain(database, attempts)
    answers: dict[str, Answer] = {}
    new: dict[str, tuple[Attempt, DomainError]] = {}
    for attempt in attempts:
        explanation = explanations[attempt.trade_id]
        if explanation.outcome is not None:
            answers[attempt.trade_id] = _known_answer(attempt, explanation)
        elif attempt.resume_only:
            new[attempt.trade_id] = attempt, AttemptUndone()
        else:
            refused = refuse_consumption(
                explanation.quote,
                organization_id=attempt.context.organization_id,
                pool_id=attempt.pool_id,
                off_ramp_enabled=attempt.off_ramp_enabled,
            )
            if refused is not None:
                new[attempt.trade_id] = attempt, refused
    if new:
        answers |= await _store(database, new.values())
    return answers


async def _store(database: Database, new: Collection[tuple[Attempt, DomainError]]) -> dict[str, Answer]:
    """Stores refusals, and a tombstone for what was not begun; leaves out what was answered meanwhile."""
    rows = [(attempt, None if isinstance(error, AttemptUndone) else error.code) for attempt, error in new]
    stored = await when_contended_again(lambda: consumptions.answer(database, rows))
    for attempt, error in new:
        if attempt.trade_id in stored:
            CONSUMPTIONS.labels(error.code).inc()
    return {attempt.trade_id: error for attempt, error in new if attempt.trade_id in stored}


def _known_answer(attempt: Attempt, explanation: Explanation) -> Answer:
    if explanation.answered_for != (attempt.context.organization_id, attempt.quote_id):
        return _belongs_elsewhere()
    if explanation.outcome is Outcome.GIVEN_BACK:
        return AttemptUndone()
    if explanation.outcome is Outcome.REFUSED:
        return error_for(explanation.refusal_reason)
    return explanation.quote or Unavailable()


def _answer(attempt: Attempt, first: Attempt, answers: dict[str, Answer]) -> Answer:
    same = (attempt.context.organization_id, attempt.quote_id) == (first.context.organization_id, first.quote_id)
    return answers.get(attempt.trade_id) or Unavailable() if same else _belongs_elsewhere()


def _belongs_elsewhere() -> InvalidRequest:
    return InvalidRequest("it was used for another quote; each attempt needs a new one.", field="trade_id")
