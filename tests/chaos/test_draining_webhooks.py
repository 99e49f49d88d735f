"""SIGTERM while providers post: what was answered with 200 takes effect, once, and nothing else was ever promised."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from functools import partial

import aiohttp

from poolctl.session import Session
from poolkit.ids import new_id
from poolkit.security import sign_standard
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.chaos.conftest import POOL, Customer, Town
from tests.waiting import eventually

TRADES = 80
IN_FLIGHT = 16
STARTED_BEFORE = 20
"""Webhooks answered before the signal comes."""
SOURCE = "chaos-settlement"


async def test_sigterm_while_webhooks_come_loses_none_that_was_answered(town: Town) -> None:
    customer = await town.customer()
    trades = await _reserve(customer)
    async with Session(town.addresses) as session:
        made = await session.webhook_ingest.admin.CreateSource(webhook_ingest_pb2.CreateSourceRequest(name=SOURCE))
    provider = _Provider(town, made.secret)
    reporting = asyncio.create_task(provider.report_all(trades))
    await eventually(lambda: provider.answered >= STARTED_BEFORE, "reports are taken", seconds=60)
    await town.stack.stop_part("webhook-ingest")
    stored = "SELECT count(DISTINCT provider_event_id) FROM webhooks WHERE source = $1"
    assert await town.value("webhook-ingest", stored, SOURCE) >= provider.answered
    await town.stack.start_part("webhook-ingest")
    await reporting
    assert set(provider.seen) <= {"200", "503", "refused", "cut"}, provider.seen

    async def settled_once() -> bool:
        found = await town.rows(
            "trade",
            "SELECT trade_id, count(*) AS moves FROM transitions WHERE to_status = 'settled' AND trade_id = ANY($1) "
            "GROUP BY trade_id",
            trades,
        )
        return {row["trade_id"]: row["moves"] for row in found} == dict.fromkeys(trades, 1)

    await eventually(settled_once, "every trade is settled, once", seconds=60)
    assert await town.value("webhook-ingest", stored, SOURCE) == TRADES


async def _reserve(customer: Customer) -> list[str]:
    async def one() -> str:
        quote_id = await customer.quote()
        return str((await customer.api.transact(POOL, quote_id, idempotency_key=quote_id))["transactId"])

    return [await one() for _ in range(TRADES)]


class _Provider:
    """Posts a report on each trade until it is answered, as a provider retries."""

    def __init__(self, town: Town, secret: str) -> None:
        self.answered = 0
        self.seen: Counter[str] = Counter()
        self._secret = secret
        self._url = f"{town.addresses.webhooks}/v1/webhooks/{SOURCE}"

    async def report_all(self, trades: list[str]) -> None:
        work = iter(trades)
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:

            async def poster() -> None:
                for trade_id in work:
                    body = _settled(trade_id)
                    await eventually(partial(self._post, http, body), "the report is taken", seconds=60)

            await asyncio.gather(*(poster() for _ in range(IN_FLIGHT)))

    async def _post(self, http: aiohttp.ClientSession, body: bytes) -> bool:
        headers = sign_standard([self._secret], "msg", int(time.time()), body)
        try:
            async with http.post(self._url, data=body, headers=headers) as answer:
                self.seen[str(answer.status)] += 1
                self.answered += answer.status == 200
                return answer.status == 200
        except aiohttp.ClientConnectorError:
            self.seen["refused"] += 1
        except aiohttp.ClientError:
            self.seen["cut"] += 1
        return False


def _settled(trade_id: str) -> bytes:
    event = {
        "eventId": new_id("evt"),
        "kind": "trade.settled",
        "transactId": trade_id,
        "networkTransactionId": "0xchaos",
        "cryptoCurrency": "USDT",
        "cryptoAmount": "10.790400",
        "occurredAt": "2026-11-22T10:00:00Z",
    }
    return json.dumps(event).encode()
