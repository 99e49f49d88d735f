"""What must agree with the model: every answer, and after a sequence accounts, books and inventory, to the digit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from pools.ledger.v1 import ledger_pb2
from tests.e2e.model import Model, Outcome, Quote
from tests.e2e.world import CRYPTO, CURRENCY, POOL, Actor, Told, World, trade_of
from tests.waiting import eventually

Stock = Mapping[tuple[str, str], Decimal]


def explains(model: Model, outcome: Outcome, given: Told) -> bool:
    """Whether the model's outcome is what was answered; a trade that is new to it gets its id."""
    if given.code != outcome.code:
        # After a 503 the repeat of a reject finds that it was rejected.
        return not given.first and (given.code, outcome) == ("quote_rejected", Outcome("ok"))
    if not outcome.trade_of:
        return True
    quote, shown = model.quotes[outcome.trade_of], trade_of(given.answer)
    trade = quote.trade
    assert trade is not None
    trade.trade_id = trade.trade_id or shown["transactId"]
    quote.deposit_address = quote.deposit_address or shown["depositAddress"] or ""
    if (quote.deposit_address or None) != shown["depositAddress"] or bool(quote.deposit_address) != quote.sale:
        return False
    as_first_given = (shown["transactId"], shown["quoteId"], shown["status"])
    if as_first_given != (trade.trade_id, outcome.trade_of, "reserved"):
        return False
    return given.answer.replayed == outcome.replayed or not given.first


async def check_everything(world: World, model: Model, actors: Sequence[Actor], stock: Stock) -> None:
    """Compares whatever can be seen, and leaves nothing held; `stock` is the inventory before the sequence."""
    await asyncio.gather(
        *(world.check_account(model, number, actor, "rest") for number, actor in enumerate(actors)),
        *(_check_lists(model, number, actor) for number, actor in enumerate(actors)),
        *(_check_quote(world, quote, actors[quote.owner]) for quote in model.quotes.values()),
    )
    addresses = [quote.deposit_address for quote in model.quotes.values() if quote.deposit_address]
    assert len(addresses) == len(set(addresses))
    books = await world.session.ledger.admin.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
    assert books.balanced

    expected = _expected_change(model)

    async def inventory_agrees() -> bool:
        now = await world.inventory()
        assert {name: now[name] - stock[name] for name in now} == expected
        return True

    await world.expire_all()
    await eventually(inventory_agrees, "inventory agrees")


async def _check_quote(world: World, quote: Quote, actor: Actor) -> None:
    assert await world.status_of_quote(actor, "rest", quote.quote_id) == quote.status
    if quote.trade:
        await _check_trade(world, quote)


async def _check_lists(model: Model, organization: int, actor: Actor) -> None:
    trades, cursor = [], ""
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        body = (await actor.callers["rest"].list_trades(**query)).body
        trades += [(trade["quoteId"], trade["status"]) for trade in body["trades"]]
        cursor = body["nextCursor"]
        if not cursor:
            break
    expected = [(quote.quote_id, quote.trade.status) for quote in model.of(organization) if quote.trade]
    assert sorted(trades) == sorted(expected)


async def _check_trade(world: World, quote: Quote) -> None:
    assert quote.trade is not None
    status, databases = quote.trade.status, world.databases
    legs = quote.legs()
    settled, undone = ("sell_credit", "sell_reversal") if quote.sale else ("buy_debit", "buy_refund")
    posted = {"settled": {settled: 1}, "returned": {settled: 1, undone: -1}}.get(status, {})
    expected = {(why, *account): sign * amount for why, sign in posted.items() for account, amount in legs.items()}
    assert await databases.legs_of_trade(quote.trade.trade_id) == expected
    hold = {"reserved": "open", "settled": "consumed", "returned": "consumed"}.get(status, "voided")
    # Who sells gives crypto, which is not held here.
    assert await databases.hold_of_trade(quote.trade.trade_id) == (None if quote.sale else hold)


def _expected_change(model: Model) -> dict[tuple[str, str], Decimal]:
    """What the sequence did to the pool: purchases take its crypto; sales bring some, and take its fiat."""
    change = {(currency, name): Decimal(0) for currency in (CURRENCY, CRYPTO) for name in _STOCKS}
    for quote in model.quotes.values():
        if quote.trade is None or quote.pool_id != POOL:
            continue
        taken, amount = (CURRENCY, quote.fiat) if quote.sale else (CRYPTO, quote.crypto)
        if quote.trade.status == "reserved":
            change[taken, "committed"] += amount
        if quote.trade.status == "settled":
            change[taken, "total"] -= amount
            if quote.sale:
                change[CRYPTO, "total"] += quote.crypto
    return change


_STOCKS = ("total", "held", "committed")
