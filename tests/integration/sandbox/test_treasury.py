"""Protects what quotes need of the sandbox: fresh rates, filled pools, and no readiness before both are there."""

from decimal import Decimal

from poolctl.sandbox.rates import RATES, RateFeed
from poolctl.sandbox.treasury import TOP_UP_BELOW, Treasury
from pools.quote.v1 import quote_pb2
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
    await restless.publish()
    assert restless.published


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
