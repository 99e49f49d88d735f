"""Statements that are handed many keys look each of them up, also by a plan that was made in a quiet hour.

The plan of a hot statement is kept. When few intents are undecided, or no quote is open, reading all of those is the
cheapest way, and when thousands are, it is what the plan still does, and compares each with each key.
"""

from __future__ import annotations

import json
import re
from typing import Any

import asyncpg
import pytest

from gateway.store import deliveries
from ledger.store import holds as ledger_holds
from quote.store import consumptions, holds
from tests.integration.databases import RunningPostgres
from tests.integration.plans import off_the_index, small_database
from trade.store import intents, reserving
from webhook_ingest.store import unprocessed, webhooks

EMPTIED = {"quote": ["quote_holds"], "webhook_ingest": ["unprocessed_webhooks"]}
"""Tables that hold only what is open."""

STATEMENTS = {
    ("gateway", "what came of deliveries"): deliveries._FINISH,
    ("ledger", "take holds"): ledger_holds._TAKE,
    ("quote", "consume"): consumptions._CONSUME,
    ("quote", "reject"): holds._REJECT,
    ("quote", "release"): holds._RELEASE_SOME,
    ("trade", "begin"): intents._BEGIN,
    ("trade", "decide to decline"): intents._DECLINING,
    ("trade", "decline"): intents._DECLINED,
    ("trade", "take over"): intents._TAKE_OVER,
    ("trade", "reserve"): reserving._RESERVE,
    ("webhook_ingest", "store"): webhooks._STORE,
    ("webhook_ingest", "claim"): unprocessed._CLAIM,
    ("webhook_ingest", "finish"): unprocessed._FINISH,
    ("webhook_ingest", "give back"): unprocessed._GIVE_BACK,
    ("webhook_ingest", "take up again"): unprocessed._TAKE_UP_AGAIN,
}


async def kept_plan(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> dict[str, Any]:
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE asked AS {statement}")
    arguments = max(int(number) for number in re.findall(r"\$(\d+)", statement))
    [[answer]] = await connection.fetch(
        f"EXPLAIN (FORMAT JSON) EXECUTE asked ({', '.join(['NULL'] * arguments)})",
    )
    plan: dict[str, Any] = json.loads(answer)[0]["Plan"]
    return plan


async def off_the_index_in_a_quiet_hour(postgres: RunningPostgres, service: str, statement: str) -> list[str]:
    connection = await small_database(postgres, service, [statement])
    try:
        for table in EMPTIED.get(service, ()):
            await connection.execute(f"DELETE FROM {table}")
        await connection.execute("ANALYZE")
        return off_the_index(await kept_plan(connection, statement))
    finally:
        await connection.close()


@pytest.mark.parametrize(("service", "what"), STATEMENTS)
async def test_keys_are_looked_up(service: str, what: str, postgres: RunningPostgres) -> None:
    assert await off_the_index_in_a_quiet_hour(postgres, service, STATEMENTS[service, what]) == []


async def test_a_statement_that_reads_all_that_is_open_would_be_seen(postgres: RunningPostgres) -> None:
    bare = reserving._RESERVE.replace(intents.STATE, "i.state")
    assert await off_the_index_in_a_quiet_hour(postgres, "trade", bare) == ["Index Scan on intents"]
