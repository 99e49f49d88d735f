"""A sale has a deposit address of its own, assigned as it is reserved and never again; without one it binds nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from poolkit.database import Database
from poolkit.errors import Unavailable
from tests.integration.trade.test_velocity import Colleagues, order, replica
from tests.unit.trade.builders import TERMS, transact_request
from trade.app.transact import Accepted, Answer
from trade.domain.trade import Side
from trade.store import deposits, journey
from trade.store.deposits import NewAddress

SALE = replace(TERMS, side=Side.OFF_RAMP, destination_address="")
RACERS = 8


async def stock(database: Database, *names: str, **changed: str) -> int:
    where = {"network": SALE.network, "crypto_currency": SALE.crypto_currency, **changed}
    addresses = [NewAddress(name, **where) for name in names]
    return await deposits.add(database, addresses, request_id="req_1", traceparent="")


def addresses_of(answers: list[Answer]) -> list[str]:
    return [answer.trade.deposit_address for answer in answers if isinstance(answer, Accepted)]


async def test_sales_at_once_have_an_address_each_and_those_beyond_the_stock_bind_nothing(database: Database) -> None:
    assert await stock(database, "TAddress01", "TAddress02", "TAddress03") == 3
    colleagues = Colleagues(SALE)
    replicas = [replica(database, colleagues) for _ in range(RACERS)]
    requests = [transact_request(key=f"key-{number}", quote=f"pq_test_{number}") for number in range(RACERS)]
    answers = [
        answer for [answer] in await asyncio.gather(*(own([one]) for own, one in zip(replicas, requests, strict=True)))
    ]
    assert sorted(addresses_of(answers)) == ["TAddress01", "TAddress02", "TAddress03"]
    without = [one for one, answer in zip(requests, answers, strict=True) if isinstance(answer, Unavailable)]
    assert len(without) == RACERS - 3
    assert colleagues.undone["quotes"] == {one.quote_id for one in without}
    assigned = "SELECT 1 FROM trades t JOIN deposit_addresses d USING (trade_id) WHERE t.deposit_address = d.address"
    assert len(await database.fetch(assigned)) == 3

    # The same key may come again, once there is one.
    await stock(database, "TAddress04")
    [again] = await replica(database, colleagues)([without[0]])
    assert addresses_of([again]) == ["TAddress04"]
    [replayed] = await replica(database, colleagues)([without[0]])
    assert isinstance(replayed, Accepted)
    assert (replayed.replayed, replayed.trade.deposit_address) == (True, "TAddress04")


async def test_a_batch_of_sales_and_purchases_gives_addresses_to_the_sales(database: Database) -> None:
    await stock(database, "TAddress01", "TAddress02")

    class Mixed(Colleagues):
        async def consume(self, attempts: Any, seconds: float) -> list[Any]:
            return [SALE if attempt.request.quote_id.endswith(("1", "3")) else TERMS for attempt in attempts]

    answers = await replica(database, Mixed())([order(number, "100000.00") for number in range(4)])
    addresses = [answer.trade.deposit_address for answer in answers if isinstance(answer, Accepted)]
    assert addresses == ["", "TAddress01", "", "TAddress02"]


async def test_an_address_of_another_network_or_asset_is_not_given(database: Database) -> None:
    await stock(database, "TAddress01", network="elsewhere")
    await stock(database, "TAddress02", crypto_currency="USDC")
    [answer] = await replica(database, Colleagues(SALE))([transact_request()])
    assert isinstance(answer, Unavailable)


async def test_an_address_is_added_once_and_a_used_one_never_comes_back(database: Database) -> None:
    assert await stock(database, "TAddress01") == 1
    [answer] = await replica(database, Colleagues(SALE))([transact_request()])
    assert addresses_of([answer]) == ["TAddress01"]
    assert await stock(database, "TAddress01") == 0
    assert await deposits.stocks(database) == []
    with pytest.raises(Exception, match="permission denied"):
        await database.execute("DELETE FROM deposit_addresses")


async def test_support_finds_a_sale_by_its_deposit_address(database: Database) -> None:
    await stock(database, "TAddress01", "TAddress02")
    [answer] = await replica(database, Colleagues(SALE))([transact_request()])
    assert addresses_of([answer]) == ["TAddress01"]
    told = await journey.find(database, ["TAddress01"], 10)
    assert [row.kind for row in told if row.ids.get("deposit_address") == "TAddress01"] == ["deposit_address"]
    assert "transition" in {row.kind for row in told}
    # One that waits to be given has no journey.
    assert await journey.find(database, ["TAddress02"], 10) == []
