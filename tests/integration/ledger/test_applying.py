"""Applying events: each takes effect once, in its turn, with all its legs."""

from decimal import Decimal

import asyncpg
import pytest

from poolkit.inbox import PoisonEvent
from pools.types.v1 import types_pb2
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import allocation, changed, payin, top_up, trade_event


async def test_settled_buy_posts_six_legs_and_consumes_the_hold(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    await books.hold(organization, trade)
    assert (await books.balance(organization)).available == 900
    settled = trade_event(organization, trade)
    await books.apply(settled)
    assert await books.entries(settled.event_id) == [
        ("partner", Decimal("-100.00")),
        ("fees", Decimal("0.20")),
        ("conversion", Decimal("99.80")),
        ("conversion", Decimal("-108.283000")),
        ("spread", Decimal("0.378991")),
        ("inventory", Decimal("107.904009")),
    ]
    balance = await books.balance(organization)
    assert (balance.posted, balance.held, balance.available) == (900, 0, 900)
    assert await books.count("holds", "state = 'consumed'") == 1
    assert await books.exceptions() == []
    await books.assert_adds_up()


async def test_settled_sell_posts_six_legs_and_needs_no_hold(books: Books, organization: str) -> None:
    sold = trade_event(organization, new_trade(), side=types_pb2.SIDE_OFF_RAMP)
    await books.apply(sold)
    assert await books.entries(sold.event_id) == [
        ("partner", Decimal("91.65")),
        ("fees", Decimal("0.19")),
        ("spread", Decimal("0.32")),
        ("conversion", Decimal("-92.16")),
        ("conversion", Decimal("100.000000")),
        ("inventory", Decimal("-100.000000")),
    ]
    assert await books.exceptions() == []
    await books.assert_adds_up()


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
async def test_same_event_twenty_times_has_one_effect(books: Books, organization: str, together: bool) -> None:
    settled = trade_event(organization, new_trade())
    if together:
        await books.apply(*[settled] * 20)
    else:
        for _ in range(20):
            await books.apply(settled)
    assert await books.count("transactions") == 1
    assert await books.count("entries") == 6
    assert (await books.balance(organization)).posted == -100
    await books.assert_adds_up()


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
async def test_return_that_comes_first_waits_and_then_mirrors_every_leg(
    books: Books, organization: str, together: bool
) -> None:
    trade = new_trade()
    settled, returned = trade_event(organization, trade), trade_event(organization, trade, "returned")
    await books.apply(payin(organization))
    await books.hold(organization, trade)
    if together:
        await books.apply(returned, settled, returned)
    else:
        for event in (returned, returned):
            await books.apply(event)
            assert await books.count("inbox", "state = 'parked'") == 1
            assert await books.count("transactions") == 1
        await books.apply(settled)
    assert await books.reasons(organization) == ["payin_credit", "buy_debit", "buy_refund"]
    mirrored = [(kind, -amount) for kind, amount in await books.entries(settled.event_id)]
    assert await books.entries(returned.event_id) == mirrored
    assert (await books.balance(organization)).available == 1000
    assert await books.count("inbox", "state = 'parked'") == 0
    await books.assert_adds_up()


async def test_return_after_settled_is_applied_at_once(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(trade_event(organization, trade, side=types_pb2.SIDE_OFF_RAMP))
    await books.apply(trade_event(organization, trade, "returned", side=types_pb2.SIDE_OFF_RAMP))
    assert await books.reasons(organization) == ["sell_credit", "sell_reversal"]
    assert (await books.balance(organization)).posted == 0
    await books.assert_adds_up()


@pytest.mark.parametrize("status", ["failed", "released"])
async def test_trade_that_ends_undelivered_voids_its_hold_and_posts_nothing(
    books: Books, organization: str, status: str
) -> None:
    trade = new_trade()
    await books.apply(payin(organization))
    await books.hold(organization, trade)
    await books.apply(trade_event(organization, trade, status))
    balance = await books.balance(organization)
    assert (balance.posted, balance.held) == (1000, 0)
    assert await books.count("holds", "state = 'voided'") == 1
    assert await books.count("transactions") == 1
    assert await books.exceptions() == []
    await books.assert_adds_up()


async def test_buy_settled_without_hold_posts_and_is_an_exception(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(trade_event(organization, trade))
    assert (await books.balance(organization)).posted == -100
    assert await books.exceptions() == ["settled_without_hold"]
    # A hold that was under way all the time must not open on a trade that has ended.
    await books.apply(payin(organization))
    assert getattr(await books.hold(organization, trade), "code", "") == "attempt_undone"
    await books.assert_adds_up()


async def test_late_hold_of_a_failed_trade_is_refused(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin(organization), trade_event(organization, trade, "failed"))
    assert getattr(await books.hold(organization, trade), "code", "") == "attempt_undone"
    await books.assert_adds_up()


async def test_hold_of_another_organization_is_left_alone(books: Books, organization: str) -> None:
    trade = new_trade()
    await books.apply(payin("org_other"))
    await books.hold("org_other", trade)
    await books.apply(trade_event(organization, trade))
    assert (await books.balance("org_other")).held == 100
    assert await books.exceptions() == ["settled_without_hold"]
    await books.assert_adds_up()


@pytest.mark.parametrize("order", ["credited first", "allocated first", "together"])
async def test_allocation_moves_the_money_whichever_comes_first(books: Books, organization: str, order: str) -> None:
    credited = payin("unallocated")
    allocated = allocation(organization, credited)
    batches = {
        "credited first": [[credited], [allocated]],
        "allocated first": [[allocated], [credited]],
        "together": [[allocated, credited]],
    }
    for batch in batches[order]:
        await books.apply(*batch)
    assert (await books.balance(organization)).posted == 1000
    assert await books.reasons("unallocated") == ["payin_suspended", "payin_allocated"]
    assert await books.reasons(organization) == ["payin_credit"]
    assert await books.count("accounts", "kind IN ('suspense', 'clearing') AND balance <> 0") == 0
    await books.assert_adds_up()


async def test_treasury_movement_is_in_the_treasurys_chain(books: Books) -> None:
    moved = top_up()
    await books.apply(moved)
    assert await books.entries(moved.event_id) == [
        ("inventory", Decimal("-5000.000000")),
        ("treasury", Decimal("5000.000000")),
    ]
    assert await books.reasons("treasury") == ["treasury_moved"]
    await books.assert_adds_up()


async def test_rows_carry_every_id_that_leads_to_them(books: Books, organization: str) -> None:
    trade = new_trade()
    settled = trade_event(organization, trade)
    await books.apply(settled)
    row = await books.admin.fetch_row("SELECT * FROM transactions")
    assert row is not None
    assert row["trade_id"] == trade
    assert row["quote_id"] == trade.replace("pt_", "pq_")
    assert row["event_id"] == settled.event_id
    assert row["request_id"] == settled.request_id
    assert row["client_reference"] == "mobile_checkout_123"
    assert row["traceparent"] == settled.traceparent
    assert row["business_date"].isoformat() == "2026-11-22"
    assert row["id"].startswith("ledger_")
    inbox = await books.admin.fetch_row("SELECT * FROM inbox")
    assert inbox is not None
    assert inbox["payload"] == settled.payload
    assert (inbox["sequence"], inbox["state"]) == (row["number"], "applied")


@pytest.mark.parametrize("reference", ['"quoted" \\ back\\\\slash', "{a,b}", "NULL", "", "ünï ✓", "line\nline"])
async def test_any_client_reference_is_kept_as_it_came(books: Books, organization: str, reference: str) -> None:
    await books.apply(
        trade_event(organization, new_trade(), client_reference=reference), trade_event(organization, new_trade())
    )
    rows = await books.admin.fetch("SELECT client_reference FROM transactions ORDER BY number")
    assert [row["client_reference"] for row in rows] == [reference, "mobile_checkout_123"]


async def test_same_id_with_other_bytes_is_poison_and_an_exception(books: Books, organization: str) -> None:
    original = payin(organization)
    await books.apply(original)
    for _ in range(2):
        with pytest.raises(PoisonEvent) as caught:
            await books.apply(changed(original))
        assert caught.value.reason == "event_conflict"
    assert await books.exceptions() == ["event_id_reused"]
    assert (await books.balance(organization)).posted == 1000
    row = await books.admin.fetch_row("SELECT payload FROM exceptions")
    assert row is not None
    assert row["payload"] == changed(original).payload


async def test_poison_fails_its_batch_and_nothing_of_it_happens(books: Books, organization: str) -> None:
    good = payin(organization)
    with pytest.raises(PoisonEvent):
        await books.apply(good, trade_event(organization, new_trade(), rate="0.000000"))
    assert await books.count("inbox") == 0
    assert await books.exceptions() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": "0.000000"},
        {"side": types_pb2.SIDE_UNSPECIFIED},
        {"fiat": types_pb2.Money(amount="1.001", currency="EUR")},
        {"fiat": types_pb2.Money(amount="0.00", currency="EUR")},
        {"fiat": types_pb2.Money(amount="1.00", currency="XXX")},
        {"transact_id": "pt test"},
        {"pool_id": ""},
        {"pool_id": "EUR USDT"},
    ],
    ids=str,
)
async def test_event_that_cannot_be_posted_is_kept_as_dead(
    books: Books, organization: str, changes: dict[str, object]
) -> None:
    poison = trade_event(organization, new_trade(), **changes)
    for _ in range(2):
        with pytest.raises(PoisonEvent):
            await books.apply(poison)
    row = await books.admin.fetch_row("SELECT state, payload, organization_id FROM inbox")
    assert row is not None
    assert tuple(row) == ("dead", poison.payload, organization)
    assert await books.exceptions() == ["dead_letter"]
    assert await books.count("transactions") == 0


async def test_bytes_that_are_no_message_are_poison(books: Books, organization: str) -> None:
    with pytest.raises(PoisonEvent):
        await books.apply(payin(organization)._replace(payload=b"\xff\xff\xff"))
    with pytest.raises(PoisonEvent):
        await books.apply(payin(organization)._replace(event_id="another"))
    assert await books.count("inbox", "state = 'dead'") == 2


async def test_event_the_database_cannot_hold_is_kept_as_dead(books: Books, organization: str) -> None:
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await books.apply(trade_event(organization, new_trade(), client_reference="a\x00b"))
    assert await books.count("inbox", "state = 'dead'") == 1
    assert await books.exceptions() == ["dead_letter"]


async def test_dead_event_is_applied_when_it_comes_again_after_the_fix(books: Books, organization: str) -> None:
    event = payin(organization)
    await books.admin.execute(
        """INSERT INTO inbox (event_id, topic, type, organization_id, payload, request_id, traceparent, partition,
                              "offset", state) VALUES ($1, $2, $3, $4, $5, '', '', 0, 0, 'dead')""",
        event.event_id,
        event.topic,
        event.type,
        event.key,
        event.payload,
    )
    await books.apply(event)
    assert (await books.balance(organization)).posted == 1000
    assert await books.count("inbox", "state = 'applied' AND business_date IS NOT NULL") == 1
    await books.apply(event)
    assert (await books.balance(organization)).posted == 1000
    await books.assert_adds_up()
