"""Consuming quotes and giving them back: one trade a quote, one answer a trade id, and nothing moves twice."""

import asyncio
from dataclasses import replace

import pytest

from poolkit.errors import (
    AttemptUndone,
    DomainError,
    InvalidRequest,
    NotFound,
    OffRampNotEnabled,
    QuoteConsumed,
    QuoteExpired,
    QuoteRejected,
)
from quote.domain.inventory import Ending
from quote.domain.pools import Side
from quote.domain.quotes import Quote, Status
from tests.integration.quote.desk import Desk


async def status_of(desk: Desk, quote: Quote) -> Status:
    read = await desk.read(quote)
    assert isinstance(read, Quote)
    return read.status


async def test_consumed_quote_answers_its_terms_and_moves_held_to_committed(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    [answer] = await desk.consume(desk.attempt(quote))
    assert answer == replace(quote, status=Status.CONSUMED)
    assert await desk.amounts() == (100_000, 0, quote.crypto_amount)
    assert await status_of(desk, quote) is Status.CONSUMED
    await desk.assert_adds_up()


async def test_same_trade_id_gets_the_same_answer_however_often_and_when_it_asks(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    attempt = desk.attempt(quote)
    answers = await asyncio.gather(*(desk.consume(attempt, attempt) for _ in range(20)))
    assert {answer for pair in answers for answer in pair} == {replace(quote, status=Status.CONSUMED)}
    await desk.expire(quote)
    [late] = await desk.consume(attempt)
    assert isinstance(late, Quote)
    await desk.assert_adds_up()


async def test_of_many_trade_ids_racing_for_a_quote_exactly_one_gets_it(desk: Desk) -> None:
    await desk.open()
    for _ in range(5):
        quote = await desk.quote()
        attempts = [desk.attempt(quote) for _ in range(20)]
        # Alone and within batches.
        answers = await asyncio.gather(*(desk.consume(*attempts[n : n + 4]) for n in range(0, 20, 4)))
        flat = [answer for some in answers for answer in some]
        assert sum(isinstance(answer, Quote) for answer in flat) == 1
        assert sum(isinstance(answer, QuoteConsumed) for answer in flat) == 19
        await desk.assert_adds_up()


@pytest.mark.parametrize("also", ["expired", "off_ramp"])
async def test_refusals_follow_their_order_and_are_stored(desk: Desk, also: str) -> None:
    await desk.open()
    side = Side.OFF_RAMP if also == "off_ramp" else Side.ON_RAMP
    quote = await desk.quote(side=side)
    elsewhere = desk.attempt(quote, context=desk.context("org_2"))
    other_pool = desk.attempt(quote, pool_id="GBP-USDT")
    rejected = desk.attempt(quote, off_ramp_enabled=False)
    assert [type(answer) for answer in await desk.consume(elsewhere, other_pool)] == [NotFound, NotFound]
    await desk.reject(quote)
    if also == "expired":
        await desk.expire(quote)
    for _ in range(2):
        answers = await desk.consume(rejected, elsewhere, other_pool)
        assert [type(answer) for answer in answers] == [QuoteRejected, NotFound, NotFound]
    await desk.assert_adds_up()


async def test_off_ramp_quote_needs_an_organization_that_may_sell(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote(side=Side.OFF_RAMP)
    refused = desk.attempt(quote, off_ramp_enabled=False)
    [answer] = await desk.consume(refused)
    assert isinstance(answer, OffRampNotEnabled)
    # The answer is the trade id's; a new attempt asks anew.
    [again] = await desk.consume(replace(refused, off_ramp_enabled=True))
    assert isinstance(again, OffRampNotEnabled)
    [other] = await desk.consume(desk.attempt(quote))
    assert isinstance(other, Quote)
    await desk.assert_adds_up()


async def test_refusal_is_given_again_after_what_caused_it_is_gone(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    first, second = desk.attempt(quote), desk.attempt(quote)
    await desk.consume(first)
    assert [type(answer) for answer in await desk.consume(second)] == [QuoteConsumed]
    assert await desk.give_back(first) == [True]
    assert [type(answer) for answer in await desk.consume(second)] == [QuoteConsumed]
    assert [type(answer) for answer in await desk.consume(desk.attempt(quote))] == [Quote]


async def test_expired_quote_is_refused_and_its_inventory_returns(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    await desk.expire(quote)
    # By the database's clock, whether or not anybody has swept.
    [refused] = await desk.consume(desk.attempt(quote))
    assert isinstance(refused, QuoteExpired)
    assert await desk.sweep() == 1
    assert await desk.sweep() == 0
    assert await desk.amounts() == (100_000, 0, 0)
    [again] = await desk.consume(desk.attempt(quote))
    assert isinstance(again, QuoteExpired)
    assert isinstance(await desk.reject(quote), QuoteExpired)
    await desk.assert_adds_up()


async def test_quote_is_rejected_once(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    assert isinstance(await desk.reject(quote, "org_2"), NotFound)
    answers = await asyncio.gather(*(desk.reject(quote) for _ in range(10)))
    assert sum(isinstance(answer, Quote) for answer in answers) == 1
    assert sum(isinstance(answer, QuoteRejected) for answer in answers) == 9
    assert await status_of(desk, quote) is Status.REJECTED
    consumed = await desk.consumed()
    assert isinstance(await desk.reject(consumed.quote), QuoteConsumed)
    await desk.assert_adds_up()


async def test_of_consuming_and_rejecting_exactly_one_wins(desk: Desk) -> None:
    await desk.open()
    winners = set()
    for _ in range(30):
        quote = await desk.quote()
        (consumed,), rejected = await asyncio.gather(desk.consume(desk.attempt(quote)), desk.reject(quote))
        if isinstance(consumed, Quote):
            assert isinstance(rejected, QuoteConsumed)
        else:
            assert (type(consumed), type(rejected)) == (QuoteRejected, Quote)
        winners.add(await status_of(desk, quote))
        await desk.assert_adds_up()
    assert winners <= {Status.CONSUMED, Status.REJECTED}


async def test_sweeper_and_consumption_never_both_take_a_quote(desk: Desk) -> None:
    await desk.open()
    for _ in range(5):
        quotes = [await desk.quote("1.00") for _ in range(10)]
        _, _, *answers = await asyncio.gather(
            desk.expire(*quotes), desk.sweep(), *(desk.consume(desk.attempt(quote)) for quote in quotes)
        )
        await desk.sweep()
        taken = [answer for (answer,) in answers if isinstance(answer, Quote)]
        assert all(isinstance(answer, Quote | QuoteExpired) for (answer,) in answers)
        await desk.assert_adds_up()
        for quote in taken:
            assert await status_of(desk, quote) is Status.CONSUMED


async def test_give_back_before_the_consumption_leaves_a_tombstone_that_refuses_it(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    attempt = desk.attempt(quote)
    assert await desk.give_back(attempt) == [False]
    assert await desk.give_back(attempt, attempt) == [False, False]
    for _ in range(2):
        [refused] = await desk.consume(attempt)
        assert isinstance(refused, AttemptUndone)
    assert await status_of(desk, quote) is Status.ACTIVE
    [other] = await desk.consume(desk.attempt(quote))
    assert isinstance(other, Quote)
    await desk.assert_adds_up()


async def test_give_back_while_the_quote_is_active_holds_it_again_for_another_attempt(desk: Desk) -> None:
    await desk.open()
    taken = await desk.consumed()
    attempt = desk.attempt(taken.quote, taken.trade_id)
    assert await desk.give_back(attempt, attempt) == [True, False]
    assert await desk.amounts() == (100_000, taken.quote.crypto_amount, 0)
    assert await desk.give_back(attempt) == [False]
    assert await status_of(desk, taken.quote) is Status.ACTIVE
    [undone] = await desk.consume(attempt)
    assert isinstance(undone, AttemptUndone)
    [other] = await desk.consume(desk.attempt(taken.quote))
    assert isinstance(other, Quote)
    # A late repeat of the first give-back must not take the second trade's quote away.
    assert await desk.give_back(attempt) == [False]
    assert await desk.amounts() == (100_000, 0, taken.quote.crypto_amount)
    await desk.assert_adds_up()


async def test_give_back_after_expiry_frees_once(desk: Desk) -> None:
    await desk.open()
    taken = await desk.consumed()
    await desk.expire(taken.quote)
    attempt = desk.attempt(taken.quote, taken.trade_id)
    answers = await asyncio.gather(*(desk.give_back(attempt) for _ in range(10)))
    assert sorted(answers) == [[False]] * 9 + [[True]]
    assert await desk.sweep() == 0
    assert await desk.amounts() == (100_000, 0, 0)
    assert await status_of(desk, taken.quote) is Status.EXPIRED
    await desk.assert_adds_up()


async def test_quote_held_again_after_a_give_back_still_expires(desk: Desk) -> None:
    await desk.open()
    taken = await desk.consumed()
    await desk.give_back(desk.attempt(taken.quote, taken.trade_id))
    await desk.expire(taken.quote)
    assert await desk.sweep() == 1
    assert await desk.amounts() == (100_000, 0, 0)
    await desk.assert_adds_up()


async def test_give_back_racing_its_consumption_leaves_nothing_committed(desk: Desk) -> None:
    await desk.open()
    for _ in range(30):
        quote = await desk.quote()
        attempt = desk.attempt(quote)
        (answer,), (moved,) = await asyncio.gather(desk.consume(attempt), desk.give_back(attempt))
        assert isinstance(answer, Quote) if moved else isinstance(answer, Quote | AttemptUndone)
        # Whoever came first, the confirmation holds: this trade id has nothing, and will never have anything.
        assert (await desk.stock()).committed == 0
        [later] = await desk.consume(attempt)
        assert isinstance(later, AttemptUndone)
        await desk.reject(quote)
        await desk.assert_adds_up()


async def test_batches_meeting_in_opposite_orders_end_right(desk: Desk) -> None:
    await desk.open()
    quotes = [await desk.quote("1.00") for _ in range(20)]
    attempts = [desk.attempt(quote) for quote in quotes]
    await asyncio.gather(
        desk.consume(*attempts),
        desk.give_back(*reversed(attempts)),
        desk.consume(*reversed(attempts)),
        desk.give_back(*attempts),
        *(desk.reject(quote) for quote in quotes[::2]),
    )
    await desk.assert_adds_up()
    await desk.give_back(*attempts)
    assert (await desk.stock()).committed == 0
    assert all(isinstance(answer, DomainError) for answer in await desk.consume(*attempts))


async def test_recovery_s_question_begins_nothing_and_refuses_what_is_still_under_way(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    attempt = desk.attempt(quote)
    [undone] = await desk.consume(replace(attempt, resume_only=True))
    assert isinstance(undone, AttemptUndone)
    [late] = await desk.consume(attempt)
    assert isinstance(late, AttemptUndone)
    assert await status_of(desk, quote) is Status.ACTIVE
    begun = desk.attempt(quote)
    await desk.consume(begun)
    [resumed] = await desk.consume(replace(begun, resume_only=True))
    assert isinstance(resumed, Quote)
    await desk.assert_adds_up()


async def test_trade_id_belongs_to_one_quote(desk: Desk) -> None:
    await desk.open()
    one, other = await desk.quote(), await desk.quote()
    attempt = desk.attempt(one)
    mixed = desk.attempt(other, attempt.trade_id)
    assert [type(answer) for answer in await desk.consume(attempt, mixed)] == [Quote, InvalidRequest]
    [later] = await desk.consume(mixed)
    assert isinstance(later, InvalidRequest)
    await desk.assert_adds_up()


async def test_trade_that_has_ended_cannot_be_given_back(desk: Desk) -> None:
    await desk.open()
    taken = await desk.consumed()
    await desk.end(taken.trade_id, Ending.SETTLED)
    assert await desk.give_back(desk.attempt(taken.quote, taken.trade_id)) == [False]
    assert await status_of(desk, taken.quote) is Status.CONSUMED
    await desk.assert_adds_up()
