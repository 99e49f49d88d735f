"""Holds: never more than there is, one answer for good, and an end that nothing comes after."""

import asyncio
from collections import Counter

import pytest

from ledger.app.account_directory import AccountDirectory
from ledger.app.place_holds import PlaceHolds
from poolkit.errors import AttemptUndone, InsufficientBalance, NotFound
from tests.integration.ledger.books import Books, hold_request, new_trade
from tests.integration.ledger.events import payin, trade_event


async def test_hold_lowers_what_is_available_and_posts_nothing(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    assert await books.hold(organization, trade) == trade.replace("pt_", "hold_")
    balance = await books.balance(organization)
    assert (balance.posted, balance.held, balance.available) == (1000, 100, 900)
    assert await books.count("transactions") == 1
    await books.assert_adds_up()


async def test_hold_beyond_the_balance_is_refused_for_good(books: Books, organization: str) -> None:
    trade = new_trade()
    assert isinstance(await books.hold(organization, trade), InsufficientBalance)
    await books.apply(payin(organization))
    assert isinstance(await books.hold(organization, trade), InsufficientBalance)
    assert isinstance(await books.hold(organization, new_trade()), str)
    await books.assert_adds_up()


async def test_exactly_what_is_available_can_be_held(books: Books, organization: str) -> None:
    await books.apply(payin(organization, "100.00"))
    assert isinstance(await books.hold(organization, new_trade(), "100.01"), InsufficientBalance)
    assert isinstance(await books.hold(organization, new_trade(), "100.00"), str)
    assert isinstance(await books.hold(organization, new_trade(), "0.01"), InsufficientBalance)


async def test_without_the_gate_a_hold_is_never_refused(books: Books, organization: str) -> None:
    assert isinstance(await books.hold(organization, new_trade(), gated=False), str)
    assert (await books.balance(organization)).available == -100
    await books.assert_adds_up()


async def test_repeated_question_hears_the_first_answer_and_holds_nothing_more(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    first = await books.hold(organization, trade)
    assert await books.hold(organization, trade) == first
    assert await books.hold(organization, trade, "900.00") == first
    await books.apply(trade_event(organization, trade))
    assert await books.hold(organization, trade) == first
    assert (await books.balance(organization)).held == 0
    await books.assert_adds_up()


async def test_same_trade_twice_in_a_batch_is_held_once(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    answers = await books.place(*[hold_request(organization, trade)] * 3)
    assert answers == [trade.replace("pt_", "hold_")] * 3
    assert (await books.balance(organization)).held == 100


async def test_each_item_of_a_batch_fails_alone(books: Books, organization: str) -> None:
    await books.apply(payin(organization, "150.00"), payin("org_other"))
    answers = await books.place(
        hold_request(organization, new_trade(), "100.00"),
        hold_request(organization, new_trade(), "100.00"),
        hold_request("org_other", new_trade(), "1000.00"),
        hold_request(organization, new_trade(), "50.00"),
        hold_request("org_unknown", new_trade(), "0.01"),
    )
    assert [isinstance(answer, str) for answer in answers] == [True, False, True, True, False]
    assert (await books.balance(organization)).available == 0
    await books.assert_adds_up()


async def test_voided_hold_gives_back_and_refuses_what_comes_after(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    await books.hold(organization, trade)
    assert await books.void(organization, trade) == [True]
    assert await books.void(organization, trade) == [False]
    assert (await books.balance(organization)).available == 1000
    assert isinstance(await books.hold(organization, trade), AttemptUndone)
    await books.assert_adds_up()


async def test_void_that_comes_first_refuses_the_hold(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    assert await books.void(organization, trade, trade) == [False, False]
    assert isinstance(await books.hold(organization, trade), AttemptUndone)
    assert (await books.balance(organization)).available == 1000
    await books.assert_adds_up()


async def test_void_after_consumption_leaves_it_consumed(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    await books.hold(organization, trade)
    await books.apply(trade_event(organization, trade))
    assert await books.void(organization, trade) == [False]
    assert await books.count("holds", "state = 'consumed'") == 1
    assert (await books.balance(organization)).available == 900
    await books.assert_adds_up()


async def test_refused_hold_stays_refused_when_voided(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.hold(organization, trade)
    assert await books.void(organization, trade) == [False]
    assert isinstance(await books.hold(organization, trade), InsufficientBalance)


async def test_another_organizations_trade_is_absent(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization), payin("org_other"))
    await books.hold(organization, trade)
    assert isinstance(await books.hold("org_other", trade), NotFound)
    assert await books.void("org_other", trade) == [False]
    assert (await books.balance(organization)).held == 100
    assert (await books.balance("org_other")).held == 0
    await books.assert_adds_up()


async def test_batch_of_voids_ends_each_hold_once(books: Books, organization: str) -> None:
    held, never = [new_trade() for _ in range(3)], [new_trade() for _ in range(3)]
    await books.apply(payin(organization))
    await books.place(*[hold_request(organization, trade) for trade in held])
    assert await books.void(organization, *never, *held) == [False] * 3 + [True] * 3
    assert (await books.balance(organization)).held == 0
    await books.assert_adds_up()


@pytest.mark.parametrize("batch", [1, 7])
async def test_holds_at_the_same_time_never_take_more_than_there_is(
    books: Books, organization: str, batch: int
) -> None:
    await books.apply(payin(organization, "1000.00"))
    asked = [[hold_request(organization, new_trade(), "30.00") for _ in range(batch)] for _ in range(42 // batch)]
    # Two replicas that know nothing of each other, and batches of both at once.
    replicas = [PlaceHolds(books.database, AccountDirectory(books.database)) for _ in range(2)]
    answers = await asyncio.gather(*(replicas[index % 2](requests) for index, requests in enumerate(asked)))
    counted = Counter(type(answer) for answers_of_batch in answers for answer in answers_of_batch)
    assert counted == {str: 33, InsufficientBalance: 9}
    assert (await books.balance(organization)).available == 10
    await books.assert_adds_up()


async def test_same_trade_asked_fifty_times_at_once_is_held_once(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    answers = await asyncio.gather(*(books.hold(organization, trade) for _ in range(50)))
    assert set(answers) == {trade.replace("pt_", "hold_")}
    assert (await books.balance(organization)).held == 100
    await books.assert_adds_up()


async def test_hold_and_void_at_the_same_time_never_leave_money_held(books: Books, organization: str) -> None:
    await books.apply(payin(organization))
    trades = [new_trade() for _ in range(40)]
    await asyncio.gather(
        *(books.hold(organization, trade, "1.00") for trade in trades),
        *(books.void(organization, *reversed(trades[start : start + 5])) for start in range(0, 40, 5)),
    )
    assert (await books.balance(organization)).held == 0
    assert await books.count("holds", "state = 'open'") == 0
    assert await books.count("holds") == 40
    await books.assert_adds_up()


async def test_hold_void_and_settlement_at_the_same_time_add_up(books: Books, organization: str) -> None:
    await books.apply(payin(organization, "5000.00"))
    trades = [new_trade() for _ in range(30)]
    await books.place(*[hold_request(organization, trade) for trade in trades])
    await asyncio.gather(
        *(books.apply(*[trade_event(organization, trade) for trade in trades[start::3]]) for start in range(3)),
        *(books.void(organization, *trades[start::2]) for start in range(2)),
        *(books.hold(organization, new_trade(), "10.00") for _ in range(20)),
    )
    balance = await books.balance(organization)
    assert (balance.posted, balance.held) == (2000, 200)
    await books.assert_adds_up()
