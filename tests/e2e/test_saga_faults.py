"""Answers that are lost, late or doubled between trade and its colleagues: no money or inventory is lost or doubled.

The saga runs in the test on a trade database of its own, against the real quote and ledger processes. What is faulty is
the way in between: a call takes effect and its answer is lost, or it takes effect long after it was given up. Each
fault is met both ways: with the hold asked for once the quote's terms are known, and beside the consumption.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from poolctl.session import Addresses, internal_channel
from poolctl.stack import Stack
from poolkit.database import Database
from poolkit.errors import (
    DeadlineExceeded,
    DomainError,
    IdempotencyInProgress,
    InsufficientBalance,
    InvalidRequest,
    NotFound,
    QuoteRejected,
)
from poolkit.rpc.callers import TRADE
from pools_contracts.ledger import LedgerClient
from pools_contracts.quote import QuoteClient as QuoteStubs
from tests.e2e.databases import Databases
from tests.e2e.faulty_wire import HOLD, OTHER_POOL, Desk, Wire, firm_quote, held_by, lost, until_hooked
from tests.e2e.partners import POOL, SETTLES, Partner, PartnerFactory
from tests.integration.databases import RunningPostgres
from tests.integration.trade.reserved import relay_elsewhere
from trade.app.read import get_transactions
from trade.app.recover import Recovery
from trade.app.saga import Saga
from trade.app.transact import Accepted, Answer, TransactQuotes
from trade.domain.intent import Attempt, TransactRequest
from trade.domain.trade import Hold
from trade.outbound.events import TradeEvents
from trade.outbound.holds import HoldClient
from trade.outbound.quotes import QuoteClient


@pytest.fixture(scope="session")
async def trade_databases(stack: Stack) -> RunningPostgres:
    return RunningPostgres(stack.postgres)


@pytest.fixture(params=[None, HOLD], ids=["terms first", "hold expected"])
def expected_hold(request: pytest.FixtureRequest) -> Hold | None:
    hold: Hold | None = request.param
    return hold


@pytest.fixture
async def desk(
    trade_databases: RunningPostgres, addresses: Addresses, databases: Databases, expected_hold: Hold | None
) -> AsyncIterator[Desk]:
    database = Database(await trade_databases.fresh_database("trade"), application_name="faults")
    async with (
        QuoteStubs(internal_channel(addresses, "quote", identity=TRADE)) as quote,
        LedgerClient(internal_channel(addresses, "ledger", identity=TRADE)) as ledger,
    ):
        wire = Wire(QuoteClient(quote.quote, "test"), HoldClient(ledger.ledger, "test"))
        saga = Saga(database, relay_elsewhere(database), wire, wire, TradeEvents("test"), drive_seconds_max=1.0)
        recovery = Recovery(database, saga, claim_seconds=0.0)
        yield Desk(database, wire, TransactQuotes(database, saga, "test"), recovery, databases, expected_hold)
    await database.close()


@pytest.fixture
async def poor(partners: PartnerFactory) -> Partner:
    return await partners(paid_in="5.00", endpoint=False)


@pytest.mark.parametrize("call", ["after consume", "after place"])
async def test_a_call_that_took_effect_and_lost_its_answer_is_asked_again_and_counts_once(
    desk: Desk, partner: Partner, call: str
) -> None:
    quote_id = await firm_quote(partner)
    desk.wire.hooks[call] = lost
    answer = await desk.accept(partner, quote_id)
    assert isinstance(answer, Accepted)
    assert await desk.trades(quote_id) == 1
    assert await held_by(desk, partner) == Decimal("100.00")
    assert await partner.rest.available() == "900.00"


@pytest.mark.parametrize("call", ["after consume", "after place"])
async def test_what_a_silent_driver_began_is_finished_by_recovery(desk: Desk, partner: Partner, call: str) -> None:
    quote_id = await firm_quote(partner)
    silence = asyncio.Event()

    async def silent() -> None:
        await silence.wait()

    desk.wire.hooks[call] = silent
    live = asyncio.create_task(desk.accept(partner, quote_id))
    await until_hooked(desk, call)
    assert await desk.recovery.recover() == 1
    assert await desk.state(quote_id) == "reserved"
    silence.set()
    # The live driver wakes up with an old fencing number: it changes nothing, and claims nothing.
    answer = await live
    assert isinstance(answer, (IdempotencyInProgress, DeadlineExceeded))
    assert await desk.trades(quote_id) == 1
    assert await held_by(desk, partner) == Decimal("100.00")
    replay = await desk.accept(partner, quote_id)
    assert isinstance(replay, Accepted)
    assert replay.replayed


async def test_a_consumption_that_arrives_after_recovery_gave_up_is_refused_and_takes_nothing(
    desk: Desk, partner: Partner
) -> None:
    quote_id = await firm_quote(partner)
    late = asyncio.Event()

    async def delayed() -> None:
        await late.wait()

    desk.wire.hooks["before consume"] = delayed
    live = asyncio.create_task(desk.accept(partner, quote_id))
    await until_hooked(desk, "before consume")
    assert await desk.recovery.recover() == 1
    assert await desk.state(quote_id) == "declined"
    late.set()
    assert isinstance(await live, DomainError)
    assert await desk.quote_status(partner, quote_id) == "active"
    assert await held_by(desk, partner) == Decimal(0)
    # The refusal does not stick: the same key and quote may try again.
    assert isinstance(await desk.accept(partner, quote_id), Accepted)
    assert await held_by(desk, partner) == Decimal("100.00")


@pytest.mark.parametrize("elsewhere_first", [False, True])
async def test_another_pools_path_is_not_found_while_the_quote_is_being_accepted_and_is_in_nobodys_way(
    desk: Desk, partner: Partner, elsewhere_first: bool
) -> None:
    quote_id = await firm_quote(partner)
    other: list[Answer] = []
    first, second = (OTHER_POOL, POOL) if elsewhere_first else (POOL, OTHER_POOL)

    async def meanwhile() -> None:
        other.append(await desk.accept(partner, quote_id, key="order-2", pool_id=second))

    desk.wire.hooks["before consume" if elsewhere_first else "after consume"] = meanwhile
    answers = {first: await desk.accept(partner, quote_id, pool_id=first), second: other[0]}
    accepted = answers[POOL]
    assert isinstance(accepted, Accepted)
    assert isinstance(answers[OTHER_POOL], NotFound)
    assert isinstance(await desk.accept(partner, quote_id, key="order-3", pool_id=OTHER_POOL), NotFound)
    (polled,) = await get_transactions(desk.database, [(partner.organization_id, quote_id)])
    assert polled == accepted.trade
    assert await held_by(desk, partner) == Decimal("100.00")


async def test_a_give_back_that_is_lost_leaves_the_intent_declining_until_recovery_confirms_it(
    desk: Desk, poor: Partner
) -> None:
    quote_id = await firm_quote(poor)

    async def lost_for_good() -> None:
        desk.wire.hooks["before give_back"] = lost_for_good
        raise DeadlineExceeded

    desk.wire.hooks["before give_back"] = lost_for_good
    assert isinstance(await desk.accept(poor, quote_id), DeadlineExceeded)
    assert await desk.state(quote_id) == "declining"
    assert isinstance(await desk.accept(poor, quote_id), IdempotencyInProgress)
    assert isinstance(await desk.accept(poor, quote_id, key="another"), IdempotencyInProgress)
    desk.wire.hooks.clear()
    assert await desk.recovery.recover() == 1
    assert await desk.state(quote_id) == "declined"
    assert await desk.quote_status(poor, quote_id) == "active"
    assert isinstance(await desk.accept(poor, quote_id), InsufficientBalance)


async def test_a_give_back_that_arrives_late_does_not_undo_a_later_attempt(
    desk: Desk, partner: Partner, poor: Partner
) -> None:
    quote_id = await firm_quote(partner)
    # The first attempt is refused for want of balance, so its quote is given back.
    dear = str((await partner.rest.quote(amount="5000.00", destinationAddress=SETTLES[:-4] + "0005")).json()["quoteId"])
    assert isinstance(await desk.accept(partner, dear, amount="5000.00"), InsufficientBalance)
    (undone,) = desk.wire.given_back
    accepted = await desk.accept(partner, quote_id)
    assert isinstance(accepted, Accepted)
    # Its give-back comes again, late: for its own quote, and wrongly for the one that another attempt consumed.
    wrong = Attempt(undone.trade_id, TransactRequest(partner.organization_id, "req", "", "order-1", quote_id, POOL))
    await desk.wire.give_back([undone, wrong], 1.0)
    assert await desk.quote_status(partner, quote_id) == "consumed"
    assert await held_by(desk, partner) == Decimal("100.00")


async def test_recovery_beside_live_drivers_makes_each_order_one_trade(desk: Desk, partner: Partner) -> None:
    quotes = [await firm_quote(partner) for _ in range(8)]
    stop = asyncio.Event()

    async def recover_all_the_time() -> None:
        while not stop.is_set():
            await desk.recovery.recover()

    racing = asyncio.create_task(recover_all_the_time())
    await asyncio.gather(*(desk.accept(partner, quote_id, key=quote_id) for quote_id in quotes))
    stop.set()
    await racing
    while await desk.recovery.recover():
        pass
    reserved = 0
    for quote_id in quotes:
        state = await desk.state(quote_id)
        assert state in ("reserved", "declined")
        assert await desk.trades(quote_id) == (state == "reserved")
        assert await desk.quote_status(partner, quote_id) == ("consumed" if state == "reserved" else "active")
        reserved += state == "reserved"
    assert await held_by(desk, partner) == 100 * reserved


async def test_money_held_for_a_quote_that_is_refused_is_free_again(desk: Desk, partner: Partner) -> None:
    quote_id = await _rejected_quote(partner)
    assert isinstance(await desk.accept(partner, quote_id), QuoteRejected)
    assert await desk.state(quote_id) == "declined"
    assert await held_by(desk, partner) == Decimal(0)


async def test_a_quote_that_is_refused_says_so_before_the_balance_does(desk: Desk, poor: Partner) -> None:
    quote_id = await _rejected_quote(poor)
    assert isinstance(await desk.accept(poor, quote_id), QuoteRejected)
    assert await desk.state(quote_id) == "declined"


async def test_a_hold_nobody_knows_of_is_voided_before_its_refused_quote_is_told_of(
    desk: Desk, partner: Partner
) -> None:
    quote_id = await _rejected_quote(partner)

    async def lost_for_good() -> None:
        desk.wire.hooks["after place"] = lost_for_good
        raise DeadlineExceeded

    desk.wire.hooks["after place"] = lost_for_good
    answer = await desk.accept(partner, quote_id)
    if desk.expected_hold is None:
        # It was never asked for.
        assert isinstance(answer, QuoteRejected)
        return
    assert isinstance(answer, DeadlineExceeded)
    assert await desk.state(quote_id) == "declining"
    assert isinstance(await desk.accept(partner, quote_id), IdempotencyInProgress)
    assert await desk.recovery.recover() == 1
    assert await desk.state(quote_id) == "declined"
    assert await held_by(desk, partner) == Decimal(0)


@pytest.mark.parametrize("expected_hold", [HOLD], indirect=True)
async def test_a_hold_that_arrives_after_recovery_gave_up_takes_nothing(desk: Desk, partner: Partner) -> None:
    quote_id = await _rejected_quote(partner)
    late = asyncio.Event()

    async def delayed() -> None:
        await late.wait()

    desk.wire.hooks["before place"] = delayed
    live = asyncio.create_task(desk.accept(partner, quote_id))
    await until_hooked(desk, "before place")
    assert await desk.recovery.recover() == 1
    assert await desk.state(quote_id) == "declined"
    late.set()
    assert isinstance(await live, DomainError)
    assert await held_by(desk, partner) == Decimal(0)


@pytest.mark.parametrize("expected_hold", [HOLD], indirect=True)
@pytest.mark.parametrize(
    "wrong", [HOLD._replace(amount="99.99"), HOLD._replace(currency="GBP"), HOLD._replace(client_reference="other")]
)
async def test_a_hold_that_is_not_the_quotes_reserves_nothing_and_leaves_nothing(
    desk: Desk, partner: Partner, wrong: Hold
) -> None:
    quote_id = await firm_quote(partner)
    desk.expected_hold = wrong
    assert isinstance(await desk.accept(partner, quote_id, amount=wrong.amount), InvalidRequest)
    assert await desk.state(quote_id) == "declined"
    assert await held_by(desk, partner) == Decimal(0)
    assert await desk.quote_status(partner, quote_id) == "active"
    desk.expected_hold = HOLD
    assert isinstance(await desk.accept(partner, quote_id), Accepted)
    assert await held_by(desk, partner) == Decimal("100.00")


async def _rejected_quote(partner: Partner) -> str:
    quote_id = await firm_quote(partner)
    assert (await partner.rest.http.post(f"/v1/pools/quotes/{quote_id}/reject")).status_code == 200
    return quote_id
