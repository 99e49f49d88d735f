"""Protects what quotes need of the sandbox: fresh rates, filled pools, and no readiness before both are there."""

import time
from decimal import Decimal
from types import SimpleNamespace

import pytest

from poolctl.sandbox.rates import RATES, RateFeed
from poolctl.sandbox.treasury import TOP_UP_AMOUNT, TOP_UP_BELOW, Treasury
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from tests.integration.sandbox.conftest import QuoteDesk, StartSandbox
from tests.integration.webhook_ingest.door import NOWHERE, TradeDesk
from tests.waiting import eventually


async def totals(quotes: QuoteDesk) -> dict[tuple[str, str], Decimal]:
    answer = await quotes.client.admin.ListInventory(quote_pb2.ListInventoryRequest())
    return {(row.pool_id, row.total.currency): Decimal(row.total.amount) for row in answer.inventory}


async def test_when_it_is_ready_every_pool_has_a_rate_and_both_of_its_assets(
    start_sandbox: StartSandbox, quotes: QuoteDesk
) -> None:
    assert not any(pool.available for pool in (await pools(quotes)))
    sandbox = await start_sandbox()
    await eventually(sandbox.is_ready, "the sandbox is ready")
    known = await pools(quotes)
    assert {pool.pool_id for pool in known} == set(RATES)
    assert all(pool.available for pool in known)
    wanted = {(pool_id, currency) for pool_id in RATES for currency in pool_id.split("-")}
    filled = {place for place, total in (await totals(quotes)).items() if total >= TOP_UP_BELOW}
    assert filled == wanted


async def pools(quotes: QuoteDesk) -> list[quote_pb2.Pool]:
    return list((await quotes.client.quote.ListPools(quote_pb2.ListPoolsRequest())).pools)


async def test_without_the_quote_service_it_lives_and_is_not_ready(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(quote_address=NOWHERE)

    async def alive() -> bool:
        try:
            return await sandbox.get("/healthz") == (200, {"alive": True})
        except OSError:
            return False

    await eventually(alive, "the sandbox lives")
    assert await sandbox.get("/readyz") == (503, {"ready": False})


async def test_filled_pools_are_left_alone_and_a_repeated_top_up_is_the_same_one(quotes: QuoteDesk) -> None:
    treasury = Treasury(quotes.client)
    assert await treasury.top_up()
    filled = await totals(quotes)
    assert await treasury.top_up()
    assert await totals(quotes) == filled
    rows = await quotes.database.fetch("SELECT movement_id FROM treasury_movements")
    assert len(rows) == 2 * len(RATES)
    assert {row["movement_id"].rpartition("-")[0] for row in rows} == {
        f"sandbox-{pool_id}-{currency}" for pool_id in RATES for currency in pool_id.split("-")
    }


async def test_rates_move_by_no_more_than_their_jitter_and_without_it_not_at_all(quotes: QuoteDesk) -> None:
    still, restless = RateFeed(quotes.client), RateFeed(quotes.client, jitter_bps=10)
    for rate in RATES.values():
        assert still._now(rate) == rate
        moved = [restless._now(rate) for _ in range(200)]
        assert all(abs(one / rate - 1) <= Decimal("0.00101") for one in moved)
        assert len(set(moved)) > 10
    assert not restless.fresh
    await restless.publish()
    assert restless.fresh


async def test_while_rates_cannot_be_published_it_is_not_ready_and_afterwards_it_is(
    start_sandbox: StartSandbox, quotes: QuoteDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolctl.sandbox.rates.PUBLISH_SECONDS", 0.05)
    sandbox = await start_sandbox()
    await eventually(sandbox.is_ready, "the sandbox is ready")
    monkeypatch.setattr("poolctl.sandbox.rates.FRESH_SECONDS_MAX", 0.5)
    async with quotes.database.transaction() as unit:
        await unit.execute("LOCK TABLE rates IN SHARE MODE")

        async def says_so() -> bool:
            return not await sandbox.is_ready()

        await eventually(says_so, "rates grow old, and it is not ready")
    await eventually(sandbox.is_ready, "fresh rates make it ready again")


async def test_a_pool_that_runs_low_is_topped_up_again(quotes: QuoteDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    treasury = Treasury(quotes.client)
    assert await treasury.top_up()
    before = (await totals(quotes))["EUR-USDT", "USDT"]
    context = types_pb2.RequestContext(request_id="req_1", organization_id="treasury", mode=types_pb2.MODE_TEST)
    drawn = types_pb2.Money(amount=str(TOP_UP_BELOW - before - 1), currency="USDT")
    movement = quote_pb2.TreasuryMovement(context=context, movement_id="drawn", pool_id="EUR-USDT", amount=drawn)
    await quotes.client.admin.MoveTreasury(quote_pb2.MoveTreasuryRequest(movements=[movement]))
    left = (await totals(quotes))["EUR-USDT", "USDT"]
    assert left == TOP_UP_BELOW - 1
    # Some seconds later: within the same ones it would be the same top-up.
    later = time.time() + 60
    monkeypatch.setattr("poolctl.sandbox.treasury.time", SimpleNamespace(time=lambda: later))
    assert await treasury.top_up()
    assert (await totals(quotes))["EUR-USDT", "USDT"] == left + Decimal(TOP_UP_AMOUNT)


async def test_when_it_is_ready_every_network_and_asset_has_deposit_addresses(
    start_sandbox: StartSandbox, quotes: QuoteDesk, desk: TradeDesk
) -> None:
    sandbox = await start_sandbox(trade_address=desk.address)
    await eventually(sandbox.is_ready, "the sandbox is ready")
    free = "SELECT DISTINCT network, crypto_currency FROM deposit_addresses WHERE trade_id IS NULL"
    stocked = {tuple(row) for row in await desk.database.fetch(free)}
    assert stocked == {
        (network, pool.crypto_currency) for pool in await pools(quotes) for network in pool.supported_networks
    }


async def test_without_the_trade_service_it_is_not_ready(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(trade_address=NOWHERE)

    async def answers() -> bool:
        try:
            return (await sandbox.get("/readyz"))[0] == 503
        except OSError:
            return False

    await eventually(answers, "it says that it is not ready")
