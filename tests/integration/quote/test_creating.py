"""Making quotes: what is answered, stored and held, and what happens when not everything fits."""

import asyncio
from decimal import Decimal

import pytest

from poolkit.errors import DomainError, InvalidRequest, NotFound, TooManyActiveQuotes
from quote.domain.pools import Side
from quote.domain.quotes import Quote, Status, UnavailableQuote, UnavailableReason
from tests.integration.quote.desk import POOL, Desk


async def test_firm_quote_locks_its_terms_and_holds_inventory(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote("100.00")
    assert (quote.crypto_amount, quote.fee_amount) == (Decimal("107.904009"), Decimal("0.20"))
    assert quote.expires_at is not None
    assert (quote.expires_at - quote.created_at).total_seconds() == 15
    assert quote.quote_id.startswith("pq_test_")
    assert await desk.amounts() == (Decimal(100000), Decimal("107.904009"), Decimal(0))
    assert await desk.read(quote) == quote
    await desk.assert_adds_up()


async def test_off_ramp_quote_holds_fiat_as_the_limit_of_payouts(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote("100", "USDT", side=Side.OFF_RAMP)
    assert (quote.fiat_amount, quote.fee_amount) == (Decimal("91.65"), Decimal("0.19"))
    assert await desk.amounts("EUR") == (Decimal(100000), Decimal("91.65"), Decimal(0))
    assert (await desk.stock()).held == 0
    await desk.assert_adds_up()


async def test_indicative_quote_is_a_price_and_stored_nowhere(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote(firm=False)
    assert (quote.quote_id, quote.expires_at, quote.crypto_amount) == ("", None, Decimal("107.904009"))
    assert (await desk.stock()).held == 0
    assert await desk.admin.fetch_value("SELECT count(*) FROM quotes") == 0


@pytest.mark.parametrize("firm", [True, False])
async def test_dry_pool_is_an_answer_and_no_error(desk: Desk, firm: bool) -> None:
    await desk.open(crypto="107.904008")
    [answer] = await desk.place([desk.order(firm=firm)])
    assert isinstance(answer, UnavailableQuote)
    assert answer.reason is UnavailableReason.POOL_DRY
    assert (await desk.stock()).held == 0


@pytest.mark.parametrize("firm", [True, False])
async def test_without_a_fresh_rate_there_is_no_price(desk: Desk, firm: bool) -> None:
    await desk.move("1000")
    for _ in range(2):
        [answer] = await desk.place([desk.order(firm=firm)])
        assert isinstance(answer, UnavailableQuote)
        assert answer.reason is UnavailableReason.RATE_UNAVAILABLE
        await desk.publish()
        await desk.admin.execute("UPDATE rates SET as_of = as_of - interval '61 seconds'")


async def test_each_item_of_a_batch_fails_alone_and_answers_keep_their_order(desk: Desk) -> None:
    await desk.open()
    answers = await desk.place(
        [
            desk.order("100.00"),
            desk.order("0.99"),
            desk.order(pool_id="EUR-BTC"),
            desk.order("50000.01"),
            desk.order("10.00", network="bitcoin"),
            desk.order("10.00", tier="gold"),
            desk.order("10.00", pool_id="GBP-USDT", currency="GBP"),
            desk.order("200.00"),
        ]
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [
        Quote, InvalidRequest, NotFound, InvalidRequest, InvalidRequest, InvalidRequest, UnavailableQuote, Quote,
    ]  # fmt: skip
    assert [answer.fiat_amount for answer in answers if isinstance(answer, Quote)] == [Decimal(100), Decimal(200)]
    await desk.assert_adds_up()


async def test_batch_that_does_not_fit_as_a_whole_is_served_in_its_order(desk: Desk) -> None:
    await desk.open(crypto="250")
    answers = await desk.place([desk.order("100.00"), desk.order("200.00"), desk.order("100.00"), desk.order("10.00")])
    assert [type(answer) for answer in answers] == [Quote, UnavailableQuote, Quote, Quote]
    await desk.assert_adds_up()


async def test_two_partners_racing_for_the_last_inventory_never_both_get_it(desk: Desk) -> None:
    await desk.open(crypto="150")
    for _ in range(10):
        first, second = await asyncio.gather(desk.place([desk.order()], "org_1"), desk.place([desk.order()], "org_2"))
        made = [answer for answer in (*first, *second) if isinstance(answer, Quote)]
        dry = [answer for answer in (*first, *second) if isinstance(answer, UnavailableQuote)]
        assert (len(made), len(dry)) == (1, 1)
        await desk.assert_adds_up()
        assert isinstance(await desk.reject(made[0]), Quote)
    assert (await desk.stock()).held == 0


async def test_organization_never_gets_more_active_quotes_than_its_tier_allows(desk: Desk) -> None:
    await desk.open()
    # Singly and in batches, all at once: 200 for a limit of 100.
    sizes = [1] * 60 + [5] * 28
    answers = await asyncio.gather(*(desk.place([desk.order("1.00")] * size) for size in sizes))
    flat = [answer for some in answers for answer in some]
    assert len(flat) == 200
    assert sum(isinstance(answer, Quote) for answer in flat) == 100
    assert sum(isinstance(answer, TooManyActiveQuotes) for answer in flat) == 100
    assert isinstance(await desk.quote("1.00", organization_id="org_2"), Quote)
    await desk.assert_adds_up()


async def test_quote_that_ends_makes_room_for_another_at_once(desk: Desk) -> None:
    await desk.open()
    await desk.admin.execute("UPDATE pool_tiers SET active_quotes_max = 3")
    rejected, expired, consumed = [await desk.quote("1.00") for _ in range(3)]
    [refused] = await desk.place([desk.order()])
    assert isinstance(refused, TooManyActiveQuotes)
    assert isinstance(await desk.reject(rejected), Quote)
    await desk.expire(expired)
    await desk.consume(desk.attempt(consumed))
    answers = await desk.place([desk.order("1.00")] * 4)
    assert [type(answer) for answer in answers] == [Quote, Quote, Quote, TooManyActiveQuotes]
    await desk.assert_adds_up()


async def test_inventory_of_expired_quotes_is_there_when_a_pool_looks_dry(desk: Desk) -> None:
    await desk.open(crypto="150")
    first = await desk.quote()
    await desk.expire(first)
    # Nobody has swept.
    second = await desk.quote()
    await desk.assert_adds_up()
    assert (await desk.stock()).held == second.crypto_amount
    expired = await desk.read(first)
    assert isinstance(expired, Quote)
    assert expired.status is Status.EXPIRED


async def test_quote_lives_as_long_as_its_pool_says_when_it_is_made(desk: Desk) -> None:
    await desk.open()
    await desk.set_pool(quote_ttl_ms=2_500)
    quote = await desk.quote()
    assert quote.expires_at is not None
    assert (quote.expires_at - quote.created_at).total_seconds() == 2.5


@pytest.mark.parametrize(
    "statement", ["UPDATE quotes SET rate = 2", "DELETE FROM quotes", "UPDATE pools SET sides = '{}'"]
)
async def test_runtime_role_cannot_change_what_is_locked(desk: Desk, statement: str) -> None:
    await desk.open()
    await desk.quote()
    with pytest.raises(Exception, match="permission denied"):
        await desk.database.execute(statement)


async def test_spread_that_leaves_nothing_is_refused_where_it_is_configured(desk: Desk) -> None:
    for column in ("spread_bps", "fee_bps"):
        for value in (10_000, -1):
            with pytest.raises(Exception, match="violates check constraint"):
                await desk.admin.execute(f"UPDATE pool_tiers SET {column} = $1", value)


async def test_reading_tells_an_absent_quote_from_another_organization_s_by_nothing(desk: Desk) -> None:
    await desk.open()
    quote = await desk.quote()
    other = await desk.read(quote, "org_2")
    [absent] = await desk.consume(desk.attempt("pq_test_none"))
    assert isinstance(other, DomainError)
    assert isinstance(absent, DomainError)
    assert (other.code, other.message, other.metadata) == (absent.code, absent.message, absent.metadata)


async def test_seeding_twice_leaves_what_a_person_changed(desk: Desk) -> None:
    from quote.app.seed_pools import seed_pools

    await desk.set_pool(quote_ttl_ms=1_000)
    await seed_pools(desk.database)
    assert await desk.admin.fetch_value("SELECT quote_ttl_ms FROM pools WHERE pool_id = $1", POOL) == 1_000
