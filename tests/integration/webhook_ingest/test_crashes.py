"""Protects against kill -9 between any two steps: what was stored takes effect, once, and the sender may come again."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from poolctl.stack.ports import free_port
from poolkit.crashpoints import CRASHPOINTS
from poolkit.security import new_encryption_key
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.conftest import OpenDoor
from tests.integration.webhook_ingest.door import BANK, NOWHERE, SETTLEMENT, Door, TradeDesk, credited, settled
from tests.integration.webhook_ingest.ledger_desk import LedgerDesk
from tests.waiting import eventually
from webhook_ingest.app import steps

REPORT_STEPS = (steps.AFTER_STORE, steps.AFTER_REPORT)
PAYIN_STEPS = (steps.AFTER_STORE, steps.AFTER_LOOK_UP, steps.AFTER_CREDIT)


class Victim:
    """A webhook-ingest in a process of its own, which dies at its crash point."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.port = port
        self.process = process

    async def is_open(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        assert self.process.returncode is None
        return False


@pytest.fixture
async def start_victim() -> AsyncIterator[Any]:
    victims: list[Victim] = []

    async def start(crashpoint: str, **environment: str) -> Victim:
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "webhook_ingest",
            env={
                **os.environ,
                "POOLS_MODE": "test",
                "POOLS_KAFKA_BOOTSTRAP": NOWHERE,
                "POOLS_LOG_LEVEL": "error",
                "POOLS_WEBHOOK_LISTEN": f"127.0.0.1:{port}",
                "POOLS_CRASHPOINT": crashpoint,
                **environment,
            },
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        victim = Victim(port, process)
        victims.append(victim)
        await eventually(victim.is_open, "the service listens")
        return victim

    yield start
    for victim in victims:
        if victim.process.returncode is None:
            victim.process.kill()
        await victim.process.wait()


@pytest.fixture
async def die_over(
    start_victim: Any, open_another: OpenDoor, postgres: RunningPostgres, desk: TradeDesk, ledger: LedgerDesk
) -> Any:
    """Lets a victim die over a webhook at a crash point; answers the replica that lives on."""

    async def die(event: dict[str, Any], source: str, crashpoint: str) -> Door:
        url, key = await postgres.fresh_database("webhook_ingest"), new_encryption_key()
        survivor = await open_another(
            url, encryption_key=key, trade_address=desk.address, ledger_address=ledger.address
        )
        victim = await start_victim(
            crashpoint,
            POOLS_DATABASE_URL=url,
            POOLS_ENCRYPTION_KEY=key,
            POOLS_TRADE_ADDRESS=desk.address,
            POOLS_LEDGER_ADDRESS=ledger.address,
            POOLS_CLAIM_SECONDS="1",
        )
        to_the_victim = replace(survivor, url_override=f"http://127.0.0.1:{victim.port}")
        # It may have answered before it died, or not.
        with contextlib.suppress(aiohttp.ClientError):
            await to_the_victim.post(event, source=source)
        async with asyncio.timeout(20):
            assert await victim.process.wait() == -9
        return survivor

    return die


@pytest.mark.parametrize("crashpoint", REPORT_STEPS)
async def test_a_report_survives_a_kill_and_settles_its_trade_once(
    die_over: Any, desk: TradeDesk, crashpoint: str
) -> None:
    trade = await desk.reserve()
    report = settled(trade.trade_id)
    door = await die_over(report, SETTLEMENT, crashpoint)
    # A sender without an answer comes again, and one with an answer may.
    again = await door.post(report)
    assert (again.status, again.body["duplicate"]) == (200, True)
    webhook = await door.until_state(again.body["webhookId"], webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED)
    assert await desk.told(trade.trade_id) == ["settled"]
    # The try that died is told of too.
    assert [(attempt.number, attempt.outcome) for attempt in webhook.attempts] == [(1, "retry"), (2, "processed")]
    assert "ended before it could say" in webhook.attempts[0].detail


@pytest.mark.parametrize("crashpoint", PAYIN_STEPS)
async def test_a_payin_survives_a_kill_and_is_told_once(die_over: Any, ledger: LedgerDesk, crashpoint: str) -> None:
    organization_id, reference = await ledger.reference()
    payin = credited(fundingReference=reference)
    door = await die_over(payin, BANK, crashpoint)
    again = await door.post(payin, source=BANK)
    assert (again.status, again.body["duplicate"]) == (200, True)
    await door.until_state(again.body["webhookId"], webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED)
    assert [row["key"] for row in await door.rows("SELECT key FROM outbox")] == [organization_id]


def test_every_step_of_the_way_is_tried() -> None:
    declared = {name for name in CRASHPOINTS if name.startswith("webhook_ingest.")}
    assert declared == {*REPORT_STEPS, *PAYIN_STEPS}
