"""SIGTERM under load: what a service has accepted it answers, and a repeat with the same key finds the same trade."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import aiohttp
import pytest

from poolkit.ids import new_id
from tests.chaos.conftest import POOL, Customer, Town
from tests.waiting import eventually

IN_FLIGHT = 16
STARTED_BEFORE = 60
"""Requests answered before the signal comes."""


@pytest.mark.parametrize("service", ["gateway", "trade", "quote", "ledger"])
async def test_sigterm_under_load_drops_nothing_that_was_accepted(town: Town, service: str) -> None:
    customer = await town.customer()
    quotes = [await customer.quote() for _ in range(300)]
    answers: dict[str, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    restarted = asyncio.Event()
    cut: list[str] = []
    load = asyncio.create_task(_load(town, customer, quotes, answers, seen, cut, restarted))
    await eventually(lambda: len(answers) >= STARTED_BEFORE, "the load runs", seconds=60)
    await town.stack.stop_part(service)
    await town.stack.start_part(service)
    restarted.set()
    await load
    assert set(seen) <= {"200", "503", "409", "refused", "cut"}, seen
    # A connection may be cut that still waited to be taken; the gateway has read nothing from it, and logged nothing.
    assert service == "gateway" or not cut
    assert (
        await town.rows("gateway", "SELECT request_id FROM request_log WHERE request_id = ANY($1::text[])", cut) == []
    )
    assert len(answers) == len(quotes)
    stored = await town.rows("trade", "SELECT quote_id, trade_id FROM trades WHERE quote_id = ANY($1::text[])", quotes)
    assert {row["quote_id"]: row["trade_id"] for row in stored} == {
        quote_id: answer["transactId"] for quote_id, answer in answers.items()
    }
    assert (await customer.api.list_ledger("EUR"))["available"] == f"{100000 - 10 * len(quotes)}.00"


async def _load(
    town: Town,
    customer: Customer,
    quotes: list[str],
    answers: dict[str, dict[str, Any]],
    seen: Counter[str],
    cut: list[str],
    restarted: asyncio.Event,
) -> None:
    """Transacts each quote until it is answered. Each request has a connection of its own: it is taken, or refused."""
    work = iter(quotes)
    url = f"{town.addresses.rest}/v1/pools/{POOL}/transact"
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    headers = dict(customer.api._session.headers)

    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:

        async def once(quote_id: str) -> bool:
            request_id = new_id("req")
            own = {"Idempotency-Key": quote_id, "X-Request-Id": request_id}
            try:
                async with http.post(url, json={"quoteId": quote_id}, headers=own) as answer:
                    seen[str(answer.status)] += 1
                    if answer.status == 200:
                        answers[quote_id] = await answer.json()
                    return answer.status == 200
            except aiohttp.ClientConnectorError:
                seen["refused"] += 1
            except aiohttp.ClientError:
                seen["cut"] += 1
                cut.append(request_id)
            return False

        async def caller() -> None:
            for number, quote_id in enumerate(work):
                if number and len(answers) >= STARTED_BEFORE * 3:
                    await restarted.wait()
                await eventually(partial(once, quote_id), "transact answers", seconds=40)

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
